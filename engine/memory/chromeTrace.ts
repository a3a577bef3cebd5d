import type { MemoryPoint } from '../contract/memory';

/** Rows of the viewer. */
const THREADS = { forward: 1, backward: 2, update: 3, recompute: 4 } as const satisfies Record<MemoryPoint['phase'], number>;
const NAMES: Readonly<Record<MemoryPoint['phase'], string>> = {
  forward: 'forward',
  backward: 'backward',
  update: 'update',
  recompute: 'computed again',
};

/**
 * A timeline in Chrome's trace event format, which chrome://tracing and Perfetto read: a slice for each point in the row of its phase, with its
 * largest tensors, and counters of the bytes by kind. A point lasts one microsecond; it is a place in the order of the iteration, not a time.
 */
export function chromeTrace(timeline: readonly MemoryPoint[]): { readonly traceEvents: readonly object[] } {
  const name = (what: string, tid: number, text: string) => ({ name: what, ph: 'M', pid: 1, tid, args: { name: text } });
  const rows = Object.entries(THREADS).flatMap(([phase, tid]) => [
    name('thread_name', tid, NAMES[phase as MemoryPoint['phase']]),
    { name: 'thread_sort_index', ph: 'M', pid: 1, tid, args: { sort_index: tid } },
  ]);
  const points = timeline.flatMap(({ layer, phase, bytes, offloaded, alive }, ts) => {
    const largest = Object.fromEntries(alive.map((tensor) => [tensor.name, tensor.bytes]));
    return [
      { name: layer, cat: phase, ph: 'X', pid: 1, tid: THREADS[phase], ts, dur: 1, args: { largest } },
      { name: 'pool', ph: 'C', pid: 1, ts, args: { ...bytes } },
      { name: 'out of the pool', ph: 'C', pid: 1, ts, args: { bytes: offloaded } },
    ];
  });
  return { traceEvents: [name('process_name', 0, 'training step'), ...rows, ...points] };
}

import type { MemoryPoint } from '../contract/memory';

/**
 * A timeline in Chrome's trace event format, which chrome://tracing and Perfetto read: a slice for each point and a counter of the bytes by
 * kind. A point lasts one microsecond; it is a place in the order of the iteration, not a time.
 */
export function chromeTrace(timeline: readonly MemoryPoint[]): { readonly traceEvents: readonly object[] } {
  const traceEvents = timeline.flatMap(({ layer, phase, bytes, offloaded }, ts) => [
    { name: layer, cat: phase, ph: 'X', pid: 1, tid: 1, ts, dur: 1 },
    { name: 'memory', ph: 'C', pid: 1, ts, args: { ...bytes } },
    { name: 'offloaded', ph: 'C', pid: 1, ts, args: { bytes: offloaded } },
  ]);
  return { traceEvents };
}

import assert from 'node:assert/strict';
import type { MemoryPoint } from '../../../engine/contract/memory';
import { chromeTrace } from '../../../engine/memory/chromeTrace';

interface Event {
  readonly ph: string;
  readonly ts: number;
  readonly tid: number;
  readonly name: string;
  readonly cat?: string;
  readonly args: Record<string, unknown>;
}

describe('memory: Chrome trace', () => {
  it('has a slice in the row of its phase and the bytes of every kind for each point, in order', () => {
    const bytes = { weights: 1, optimiser: 2, inputs: 3, activations: 4, gradients: 5, workspace: 0 };
    const points: MemoryPoint[] = [
      { layer: 'conv1', phase: 'forward', bytes, offloaded: 0, alive: [{ name: 'x', bytes: 9, kind: 'inputs' }] },
      { layer: 'conv1', phase: 'backward', bytes: { ...bytes, gradients: 9 }, offloaded: 7, alive: [] },
    ];
    const events = chromeTrace(points).traceEvents as Event[];
    const slices = events.filter((e) => e.ph === 'X');
    assert.deepEqual(
      slices.map((e) => [e.ts, e.name, e.cat, e.args]),
      [
        [0, 'conv1', 'forward', { largest: { x: 9 } }],
        [1, 'conv1', 'backward', { largest: {} }],
      ],
    );
    const rows = new Map(events.filter((e) => e.name === 'thread_name').map((e) => [e.tid, e.args.name]));
    assert.deepEqual(
      slices.map((e) => rows.get(e.tid)),
      ['forward', 'backward'],
    );
    assert.deepEqual(
      events.filter((e) => e.name === 'pool').map((e) => e.args),
      [bytes, { ...bytes, gradients: 9 }],
    );
    assert.deepEqual(
      events.filter((e) => e.name === 'out of the pool').map((e) => e.args),
      [{ bytes: 0 }, { bytes: 7 }],
    );
  });
});

import assert from 'node:assert/strict';
import type { MemoryPoint } from '../../../engine/contract/memory';
import { chromeTrace } from '../../../engine/memory/chromeTrace';

describe('memory: Chrome trace', () => {
  it('has a slice and the bytes of every kind for each point, in order', () => {
    const bytes = { weights: 1, optimiser: 2, inputs: 3, activations: 4, gradients: 5 };
    const points: MemoryPoint[] = [
      { layer: 'conv1', phase: 'forward', bytes, offloaded: 0, alive: [] },
      { layer: 'conv1', phase: 'backward', bytes: { ...bytes, gradients: 9 }, offloaded: 7, alive: [] },
    ];
    const { traceEvents } = chromeTrace(points);
    const events = traceEvents as { ph: string; ts: number; name: string; cat?: string; args?: Record<string, number> }[];
    assert.deepEqual(
      events.filter((e) => e.ph === 'X').map((e) => [e.ts, e.name, e.cat]),
      [
        [0, 'conv1', 'forward'],
        [1, 'conv1', 'backward'],
      ],
    );
    assert.deepEqual(
      events.filter((e) => e.name === 'memory').map((e) => e.args),
      [bytes, { ...bytes, gradients: 9 }],
    );
    assert.deepEqual(
      events.filter((e) => e.name === 'offloaded').map((e) => e.args),
      [{ bytes: 0 }, { bytes: 7 }],
    );
  });
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import { encodePickle } from '../../../engine/formats/pickle/encodePickle';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { memoryFloor, planMemory } from '../../../engine/memory/plan';
import { torchSnapshot } from '../../../engine/memory/torchSnapshot';

describe('memory: PyTorch snapshot', () => {
  const network = createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 });
  const training = buildTrainingGraph(network, { batch: 4, training: true, optimiser: { kind: 'sgd', momentum: 0.9 } });
  const { program } = lowerGraph(training.graph, { carry: carriedValues(training) });

  for (const policy of ['liveness', 'auto'] as const)
    it(`plays back to the planned peak without an overlap, and ends in the blocks of its segment: ${policy}`, () => {
      const schedule = planMemory(program, policy, policy === 'auto' ? memoryFloor(program, policy).bytes : undefined);
      const { segments, device_traces } = torchSnapshot(program, schedule);
      const [segment] = segments;
      assert.ok(segment && segment.total_size >= schedule.poolBytes);
      const held = new Map<number, number>();
      let [bytes, peak] = [0, 0];
      for (const { action, addr, size, frames } of device_traces[0] ?? []) {
        if (action === 'alloc') {
          for (const [other, length] of held) assert.ok(addr + size <= other || addr >= other + length, frames[0]?.name);
          assert.ok(addr >= segment.address && addr + size <= segment.address + segment.total_size);
          held.set(addr, size);
          peak = Math.max(peak, (bytes += size));
        } else if (action === 'free_completed') {
          assert.equal(held.get(addr), size);
          held.delete(addr);
          bytes -= size;
        }
      }
      assert.equal(peak, schedule.peakBytes);
      let at = segment.address;
      const left = new Map<number, number>();
      for (const { size, state } of segment.blocks) {
        if (state === 'active_allocated') left.set(at, size);
        at += size;
      }
      assert.equal(at, segment.address + segment.total_size);
      assert.deepEqual(left, new Map([...held].sort((a, b) => a[0] - b[0])));
    });
});

describe('formats: pickle', () => {
  const hasPython = spawnSync('python3', ['-c', 'import pickle']).status === 0;

  it('writes the bytes of protocol 2', () => {
    assert.equal(Buffer.from(encodePickle({ a: [1, null, true] })).toString('latin1'), '\x80\x02}(X\x01\0\0\0a](J\x01\0\0\0N\x88eu.');
  });

  it('is read by Python', function () {
    if (!hasPython) this.skip();
    const value = {
      é: [0, -1, 2 ** 31, -(2 ** 40), 2 ** 53 - 1, 'text', false, []],
      many: Array.from({ length: 2500 }, (_, i) => i),
      none: {},
    };
    const script = 'import pickle, json, sys; print(json.dumps(pickle.load(sys.stdin.buffer)))';
    const { stdout } = spawnSync('python3', ['-c', script], { input: encodePickle(value), encoding: 'utf8' });
    assert.deepEqual(JSON.parse(stdout), value);
  });

  it('refuses what is no whole number', () => {
    assert.throws(() => encodePickle([0.5]), /whole number/);
  });
});

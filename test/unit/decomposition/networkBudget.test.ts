import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { type BudgetCandidate, chooseForms, layerCandidates, taylorChange } from '../../../engine/decomposition/networkBudget';
import { findReplaceable } from '../../../engine/decomposition/replaceable';
import { Random } from '../../../engine/graph/random';
import { elementCount, float32, int64 } from '../../../engine/graph/tensor';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const runtime = openRuntime();
const random = new Random(8);
const normals = (...dims: number[]) =>
  float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );

describe('one budget for a network', () => {
  it('gives every layer candidates that cost less and are expected to cost loss', async () => {
    const graph = createModel('rnn', { input: [4, 24], classes: 3, hidden: 16, seed: 1 });
    const batches = Array.from({ length: 4 }, () => ({ x: normals(8, 4, 24), y: int64([8], [0, 1, 2, 0, 1, 2, 0, 1]) }));
    const layers = findReplaceable(graph, { hiddenToHidden: true });
    assert.deepEqual(layers.map((l) => l.name), ['rnn', 'rnn.R', 'fc']); // prettier-ignore
    for (const layer of layers.slice(0, 2)) {
      const candidates = await layerCandidates(runtime, graph, layer, batches, { threads: 1 });
      assert.ok(candidates.length > 0);
      for (const { parameters, error, lossChange } of candidates) {
        assert.ok(parameters < layer.inputs * layer.outputs && error > 0 && error < 1);
        assert.ok(Number.isFinite(lossChange));
      }
    }
  });

  it('estimates g·d and d·F·d / 2', () => {
    const gradients = [Float32Array.of(1, 2), Float32Array.of(3, 2)];
    const delta = Float32Array.of(2, -1);
    const [a, b] = [1 * 2 - 2, 3 * 2 - 2];
    const [mean, variance] = [(a + b) / 2, (a - b) ** 2 / 2];
    assert.ok(Math.abs(taylorChange(gradients, delta, 4) - (mean + (4 * variance + mean ** 2) / 2)) < 1e-6);
  });

  it('takes the cheapest savings first, and says what cannot be reached', () => {
    const candidate = (parameters: number, lossChange: number): BudgetCandidate =>
      ({ parameters, macs: parameters, lossChange, error: 0, choice: {} }) as unknown as BudgetCandidate;
    const layers = [
      { dense: { parameters: 100, macs: 100 }, candidates: [candidate(50, 0.1), candidate(20, 5)] },
      { dense: { parameters: 100, macs: 100 }, candidates: [candidate(60, 2), candidate(10, 3)] },
    ];
    const losses = (most: number): number[] => chooseForms(layers, { unit: 'parameters', most }).map((c) => c.lossChange);
    assert.deepEqual(losses(200), []);
    assert.deepEqual(losses(150), [0.1]);
    assert.deepEqual(losses(100), [0.1, 3]);
    assert.deepEqual(losses(30), [5, 3]);
    assert.throws(() => losses(29), /leave 30 parameters/);
  });
});

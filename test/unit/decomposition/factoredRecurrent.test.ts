import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { factorDeviation, initialWeights } from '../../../engine/decomposition/initialise';
import { blockTermNetwork, blockTermShape, tensorTrainNetwork } from '../../../engine/decomposition/layerForms';
import { findContractionPath } from '../../../engine/decomposition/contractionPath';
import { emitNetwork } from '../../../engine/decomposition/emitNetwork';
import { type TensorNetwork, weightNetwork } from '../../../engine/decomposition/tensorNetwork';
import { Random } from '../../../engine/graph/random';
import { elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { parametersOf } from '../../../engine/ops/parameters';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../../engine/training/trainer';

const runtime = openRuntime();

async function rebuilt(network: TensorNetwork, seed: number, variance: number): Promise<Float32Array> {
  const whole = weightNetwork(network);
  const builder = new GraphBuilder('weight');
  const weights = initialWeights(network, variance, new Random(seed));
  const names = new Map([...weights].map(([name, tensor]) => [name, builder.initializer(name, tensor)]));
  builder.output(emitNetwork(builder, whole, findContractionPath(whole).tree, names, 'w'), 'w');
  const program = await runtime.compile(builder.graph);
  const result = await program.run(new Map());
  program.dispose();
  return result.get('w')?.data as Float32Array;
}

describe('factored recurrent networks', () => {
  it('start with the variance asked for, by sampling', async () => {
    const networks = [blockTermNetwork(blockTermShape([4, 5, 6], [4, 3, 2], 3, 2)), tensorTrainNetwork([4, 5, 6], [4, 3, 2], [3, 4])];
    for (const network of networks) {
      let [sum, count] = [0, 0];
      for (let seed = 0; seed < 60; seed++)
        for (const v of await rebuilt(network, seed, 0.01)) {
          sum += v * v;
          count++;
        }
      assert.ok(Math.abs(sum / count / 0.01 - 1) < 0.25, String(sum / count));
    }
    const paper = blockTermNetwork(blockTermShape([8, 20, 20, 18], [16, 4, 4, 4], 4, 2));
    assert.ok(Math.abs(factorDeviation(paper, 1e-4) ** 10 * 2 * 4 ** 4 - 1e-4) < 1e-12);
  });

  it("have the paper's input-to-hidden parameters at the size of UCF11", () => {
    const modes = { inputModes: [8, 20, 20, 18], outputModes: [4, 4, 4, 4] };
    for (const [name, expected] of [
      ['bt-lstm', 3392],
      ['bt-gru', 3136],
      ['tt-lstm', 3360],
      ['tt-gru', 3232],
    ] as const) {
      const graph = createModel(name, { input: [6, 57_600], classes: 11, seed: 1, ...modes });
      const input = parametersOf(graph).filter((p) => /factor|core/.test(p));
      assert.equal(
        input.reduce((n, p) => n + elementCount(graph.initializers.get(p)?.dims ?? []), 0),
        expected,
      );
    }
  });

  for (const name of ['bt-lstm', 'tt-lstm', 'bt-gru'])
    it(`train: ${name}`, async () => {
      const random = new Random(2);
      const graph = createModel(name, { input: [4, 30], classes: 3, hidden: 8, dropout: 0.1, seed: 3, rank: 2 });
      const trainer = await Trainer.create(runtime, graph, { batch: 6, optimiser: { kind: 'adam' } });
      const x = float32([6, 4, 30], Float32Array.from({ length: 720 }, () => random.normal())); // prettier-ignore
      const y = { type: 'int64', dims: [6], data: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n) } as const;
      const losses: number[] = [];
      for (let i = 0; i < 80; i++) losses.push((await trainer.step(x, y, 0.03)).loss);
      trainer.dispose();
      assert.ok((losses.at(-1) ?? 9) < 0.3 * (losses[0] ?? 0), `${losses[0]} ${losses.at(-1)}`);
    });
});

import assert from 'node:assert/strict';
import { buildTrainingGraph } from '../../../engine/autodiff/trainingGraph';
import { asSamples, calibrate, isolateLayer, withWeights } from '../../../engine/decomposition/calibrate';
import { decomposeLayer, replaceByBlocks } from '../../../engine/decomposition/decompose';
import { replaceableLayer } from '../../../engine/decomposition/replaceable';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { type Tensor, elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const runtime = openRuntime();
const random = new Random(3);
const normals = (...dims: number[]) =>
  float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );

function gemm(): Graph {
  const builder = new GraphBuilder('dense');
  const x = builder.input('x', ['N', 24]);
  builder.output(
    builder.emitNamed('Gemm', [x, builder.initializer('w', normals(12, 24)), builder.initializer('b', normals(12))], { transB: 1 }, ['y'], {
      name: 'fc',
    }),
  );
  return builder.graph;
}

function lstm(): Graph {
  const builder = new GraphBuilder('recurrent');
  const x = builder.input('x', [5, 'N', 12]);
  const weights = [normals(1, 16, 12), normals(1, 16, 4), normals(1, 32)].map((t, i) => builder.initializer(`w${i}`, t));
  builder.emitNamed('LSTM', [x, ...weights], { hidden_size: 4 }, ['y'], { name: 'cell' });
  builder.output('y');
  return builder.graph;
}

/** Inputs that lie near a subspace, where matching outputs is another thing than matching weights. */
function narrow(count: number, sample: readonly number[]): Tensor & { data: Float32Array } {
  const size = sample.at(-1) ?? 1;
  const [basis, rows] = [normals(4, size), count * elementCount(sample.slice(0, -1))];
  const x = float32([count, ...sample]);
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < 4; k++) {
      const weight = random.normal();
      for (let i = 0; i < size; i++) x.data[row * size + i] = (x.data[row * size + i] ?? 0) + weight * (basis.data[k * size + i] ?? 0);
    }
  return x;
}

async function run(graph: Graph, x: Tensor): Promise<Float32Array> {
  const program = await runtime.compile(graph);
  const result = await program.run(new Map([['x', x]]));
  program.dispose();
  return result.get('y')?.data as Float32Array;
}

const relative = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((s, v, i) => s + (v - (b[i] ?? NaN)) ** 2, 0) / b.reduce((s, v) => s + v * v, 0));

describe('calibration of a decomposed layer', () => {
  for (const [name, graph, sample, choice] of [
    ['a dense layer', gemm(), [24], { inputModes: [4, 6], outputModes: [4, 3], ranks: [4, 4], blocks: 1 }],
    ['a recurrent layer', lstm(), [5, 12], { inputModes: [3, 4], outputModes: [2, 2], ranks: [3, 3], blocks: 2 }],
  ] as const)
    it(`brings the outputs of ${name} closer on samples it has not seen`, async () => {
      const layer = replaceableLayer(graph, name === 'a dense layer' ? 'fc' : 'cell');
      const decomposed = await decomposeLayer(runtime, graph, layer.name, choice);
      const isolated = isolateLayer(graph, layer, sample);
      const replaced = replaceByBlocks(isolated, replaceableLayer(isolated, layer.name), decomposed.shape, decomposed.blocks, 1);
      const x = narrow(128, sample);
      const { weights, ...report } = await calibrate(runtime, isolated, replaced, x, { epochs: 40, threads: 1 });
      assert.equal(report.heldOut, 32);
      assert.ok(report.kept && report.after < 0.8 * report.before, JSON.stringify(report));
      const refined = withWeights(decomposed.graph, graph, weights);
      const held = float32([32, ...sample], x.data.subarray(96 * elementCount(sample)));
      const feed = name === 'a dense layer' ? held : asSteps(held);
      const error = relative(await run(refined, feed), await run(graph, feed));
      assert.ok(Math.abs(error - report.after) < 1e-4, `${error} ${report.after}`);
    });

  it('puts the samples of a sequence first', () => {
    const layer = replaceableLayer(lstm(), 'cell');
    const x = normals(3, 5, 12);
    assert.deepEqual(asSamples(asSteps(x), layer), x);
  });

  it('trains on the mean squared error, whose gradient is that of its definition', async () => {
    const graph = gemm();
    const training = buildTrainingGraph(graph, { batch: 3, training: false, loss: 'squared', parameters: ['b'] });
    const program = await runtime.compile(training.graph);
    const [x, target] = [normals(3, 24), normals(3, 12)];
    const feeds = new Map<string, Tensor>([['x', x], [training.y, target], ['b', graph.initializers.get('b') as Tensor]]); // prettier-ignore
    const result = await program.run(feeds);
    program.dispose();
    const y = await run(graph, x);
    const loss = y.reduce((s, v, i) => s + (v - (target.data[i] ?? NaN)) ** 2, 0) / 36;
    assert.ok(Math.abs(Number(result.get(training.loss)?.data[0]) - loss) < 1e-4 * loss);
    const gradient = result.get(training.gradients.get('b') ?? '')?.data as Float32Array;
    for (let j = 0; j < 12; j++) {
      const expected = [0, 1, 2].reduce((s, n) => s + (2 / 36) * ((y[n * 12 + j] ?? NaN) - (target.data[n * 12 + j] ?? NaN)), 0);
      assert.ok(Math.abs((gradient[j] ?? NaN) - expected) < 1e-5);
    }
  });
});

/** [N, T, I] as [T, N, I]. */
function asSteps({ dims, data }: Tensor & { data: Float32Array }): Tensor & { data: Float32Array } {
  const [count = 1, steps = 1, size = 1] = dims;
  const result = float32([steps, count, size]);
  for (let n = 0; n < count; n++)
    for (let t = 0; t < steps; t++)
      result.data.set(data.subarray((n * steps + t) * size, (n * steps + t + 1) * size), (t * count + n) * size);
  return result;
}

import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { float32, int64 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { learningRate } from '../../../engine/training/schedule';
import { Trainer } from '../../../engine/training/trainer';
import { Random } from '../../../engine/graph/random';
import { assertClose } from '../../support/close';

const runtime = openRuntime();

/** A linear classifier of two features with known weights. */
function linear() {
  const builder = new GraphBuilder('linear');
  const x = builder.input('x', ['N', 2]);
  const w = builder.initializer('w', float32([2, 2], [0.1, -0.2, 0.3, 0.4]));
  builder.output(builder.emit('Gemm', [x, w], { transB: 1 }), 'logits');
  return builder.graph;
}

function linearWithDropout() {
  const builder = new GraphBuilder('dropout');
  const x = builder.input('x', ['N', 2]);
  const dropped = builder.emit('Dropout', [x, builder.scalar(0.5)]);
  builder.output(
    builder.emit('Gemm', [dropped, builder.initializer('w', float32([2, 2], [0.1, -0.2, 0.3, 0.4]))], { transB: 1 }),
    'logits',
  );
  return builder.graph;
}

const x = float32([2, 2], [1, 2, -1, 0.5]);
const y = int64([2], [0, 1]);

/** Weights after three steps by PyTorch 1.13 with these settings, learning rate 0.5. */
const EXPECTED = [
  [{ kind: 'sgd', momentum: 0.9, weightDecay: 0.01 }, [1.394029140472412, 0.9449119567871094, -1.0052013397216797, -0.7504980564117432]],
  [{ kind: 'sgd', momentum: 0.9, nesterov: true }, [1.5908180475234985, 0.9323599934577942, -1.1908183097839355, -0.7323601245880127]],
  [{ kind: 'adam' }, [1.4532197713851929, 0.9455333352088928, -1.0532195568084717, -0.7455333471298218]],
  [{ kind: 'adamw', weightDecay: 0.1 }, [1.3668065071105957, 0.8978763818740845, -1.0238566398620605, -0.7264014482498169]],
] as const;

describe('training', () => {
  for (const [optimiser, expected] of EXPECTED)
    it(`updates as PyTorch does: ${JSON.stringify(optimiser)}`, async () => {
      const trainer = await Trainer.create(runtime, linear(), { batch: 2, optimiser });
      for (let i = 0; i < 3; i++) await trainer.step(x, y, 0.5);
      assertClose(trainer.weights().initializers.get('w')!.data as Float32Array, expected, 1e-5);
      trainer.dispose();
    });

  it('follows running statistics as PyTorch does and gives the same numbers from the same seed', async () => {
    const random = new Random(3);
    const input = float32(
      [8, 1, 8, 8],
      Float32Array.from({ length: 512 }, () => random.normal()),
    );
    const labels = int64([8], [0, 1, 2, 0, 1, 2, 0, 1]);
    const run = async () => {
      const trainer = await Trainer.create(runtime, createModel('small-cnn', { input: [1, 8, 8], classes: 3, seed: 1 }), {
        batch: 8,
        optimiser: { kind: 'sgd', momentum: 0.9 },
      });
      const losses: number[] = [];
      for (let i = 0; i < 12; i++) losses.push((await trainer.step(input, labels, 0.05)).loss);
      const graph = trainer.weights();
      trainer.dispose();
      return { losses, mean: graph.initializers.get('bn1.running_mean')!.data as Float32Array };
    };
    const [first, second] = [await run(), await run()];
    assert.deepEqual(first, second);
    assert.ok((first.losses.at(-1) ?? 1) < 0.5 * (first.losses[0] ?? 0), String(first.losses));
    assert.ok(first.mean.some((v) => v !== 0));
  });

  it('goes on from an exported state bit for bit, dropout included', async () => {
    const options = { batch: 2, optimiser: { kind: 'sgd', momentum: 0.9 } } as const;
    const linear = linearWithDropout;
    const whole = await Trainer.create(runtime, linear(), options);
    for (let i = 0; i < 4; i++) await whole.step(x, y, 0.1);
    const half = await Trainer.create(runtime, linear(), options);
    for (let i = 0; i < 2; i++) await half.step(x, y, 0.1);
    const rest = await Trainer.create(runtime, linear(), options);
    rest.importState(half.exportState());
    for (let i = 0; i < 2; i++) await rest.step(x, y, 0.1);
    assert.deepEqual(rest.weights().initializers.get('w')?.data, whole.weights().initializers.get('w')?.data);
    [whole, half, rest].forEach((t) => t.dispose());
  });

  for (const layout of ['portable', 'auto'] as const)
    it(`moves running statistics a tenth of the way to the batch's (${layout})`, async () => {
      const random = new Random(6);
      const input = float32(
        [4, 1, 6, 6],
        Float32Array.from({ length: 144 }, () => random.normal(2)),
      );
      const builder = new GraphBuilder('norm');
      const filled = (name: string, value: number): string => builder.initializer(name, float32([1], [value]));
      const kernel = builder.initializer('kernel', float32([1, 1, 1, 1], [1]));
      const image = builder.emit('Conv', [builder.input('x', ['N', 1, 6, 6]), kernel]);
      const norm = builder.emit('BatchNormalization', [image, filled('a', 1), filled('b', 0), filled('mean', 5), filled('variance', 3)]);
      builder.output(builder.emit('Flatten', [norm], { axis: 1 }), 'logits');
      const trainer = await Trainer.create(runtime, builder.graph, { batch: 4, optimiser: { kind: 'sgd' }, layout });
      await trainer.step(input, int64([4], [0, 1, 2, 3]), 0);
      const after = trainer.weights().initializers;
      trainer.dispose();
      const mean = input.data.reduce((sum, v) => sum + v, 0) / 144;
      const variance = input.data.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 143;
      assertClose(after.get('mean')!.data as Float32Array, [0.9 * 5 + 0.1 * mean], 1e-5);
      assertClose(after.get('variance')!.data as Float32Array, [0.9 * 3 + 0.1 * variance], 1e-5);
    });

  it('has the schedules of the papers', () => {
    const triangular = { kind: 'triangular', rate: 1e-2, minimum: 1e-3 } as const;
    assert.ok(Math.abs(learningRate(triangular, 50, 100) - 1e-2) < 1e-12);
    assert.ok(Math.abs(learningRate(triangular, 0, 100) - 1e-3) < 1e-12);
    assert.equal(learningRate({ kind: 'step', rate: 0.1 }, 60, 100).toPrecision(3), '0.0100');
    assert.ok(Math.abs(learningRate({ kind: 'cosine', rate: 0.1 }, 50, 100) - 0.05) < 1e-12);
    assert.ok(Math.abs(learningRate({ kind: 'inverse', rate: 1e-4, decay: 1.6667e-4 }, 6000, 9000) - 1e-4 / 2.00002) < 1e-12);
  });
});

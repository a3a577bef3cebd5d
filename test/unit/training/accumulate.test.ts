import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import type { Optimiser } from '../../../engine/autodiff/optimiser';
import { Random } from '../../../engine/graph/random';
import { type Tensor, float32, int64 } from '../../../engine/graph/tensor';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';

const random = new Random(5);
const pixels = Float32Array.from({ length: 24 * 48 }, () => random.normal());
const batchOf = (size: number, at: number): [Tensor, Tensor] => [
  float32([size, 3, 4, 4], pixels.slice(at * size * 48, (at + 1) * size * 48)),
  int64(
    [size],
    Array.from({ length: size }, (_, i) => (at * size + i) % 5),
  ),
];
const network = () => createModel('mlp', { input: [3, 4, 4], classes: 5, seed: 2 });

async function weightsAfter(optimiser: Optimiser, batch: number, accumulate: number, updates: number): Promise<Map<string, number[]>> {
  const trainer = await Trainer.create(openRuntime(), network(), { batch, optimiser, accumulate });
  for (let step = 0; step < updates * accumulate; step++) {
    const before = accumulate > 1 ? weightsOf(trainer) : undefined;
    await trainer.step(...batchOf(batch, step % (24 / batch)), 0.05);
    if ((step + 1) % accumulate > 0) assert.deepEqual(weightsOf(trainer), before);
  }
  const weights = weightsOf(trainer);
  trainer.dispose();
  return weights;
}

const weightsOf = (trainer: Trainer): Map<string, number[]> =>
  new Map([...trainer.weights().initializers].map(([name, { data }]) => [name, [...(data as Float32Array)].map(Number)]));

describe('training with accumulated gradients', () => {
  for (const optimiser of [
    { kind: 'sgd' },
    { kind: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.01 },
    { kind: 'adam', weightDecay: 0.01 },
    { kind: 'adamw', weightDecay: 0.1 },
  ] as const satisfies readonly Optimiser[])
    it(`updates as one batch of all the samples does, and not before: ${JSON.stringify(optimiser)}`, async () => {
      const whole = await weightsAfter(optimiser, 24, 1, 4);
      const parts = await weightsAfter(optimiser, 8, 3, 4);
      for (const [name, weights] of whole) assertClose(parts.get(name) ?? [], weights, optimiser.kind === 'sgd' ? 2e-5 : 1e-3, name);
    });
});

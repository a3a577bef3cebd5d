import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { batches } from '../../../engine/datasets/batches';
import { openDataset } from '../../../engine/datasets/openDataset';
import { SurgeryError } from '../../../engine/graph/errors';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { createPerturbation } from '../../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { Batch } from '../../../engine/training/evaluate';
import { Teacher } from '../../../engine/training/teacher';
import { train } from '../../../engine/training/train';
import { Trainer } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';

const runtime = openRuntime();
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;

/** A linear classifier of two features, with or without a softmax at its end. */
function linear(weights: readonly number[], { softmax = false } = {}): Graph {
  const builder = new GraphBuilder('linear');
  const x = builder.input('x', ['N', 2]);
  const logits = builder.emit('Gemm', [x, builder.initializer('w', float32([2, 2], weights))], { transB: 1 });
  builder.output(softmax ? builder.emit('Softmax', [logits], { axis: 1 }) : logits);
  return builder.graph;
}

async function* one(batch: Batch): AsyncGenerator<Batch> {
  yield await Promise.resolve(batch);
}

describe('distillation', () => {
  it('trains as PyTorch does with 0.3 of the cross-entropy and 0.7 of the divergence at temperature 3', async () => {
    const distillation = { weight: 0.7, temperature: 3 };
    const trainer = await Trainer.create(runtime, linear([0.1, -0.2, 0.3, 0.4]), { batch: 2, optimiser, distillation });
    const x = float32([2, 2], [1, 2, -1, 0.5]);
    const teacher = float32([2, 2], [2, -1, 0.5, 3]);
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) losses.push((await trainer.step(x, int64([2], [0, 1]), 0.5, { teacher })).loss);
    assertClose(losses, [1.344988465309143, 0.4383494257926941, 0.17714105546474457], 1e-6);
    const expected = [1.5645277500152588, 1.0785624980926514, -1.1645277738571167, -0.8785626888275146];
    assertClose(trainer.weights().initializers.get('w')!.data as Float32Array, expected, 1e-6);
    trainer.dispose();
  });

  it('takes the logits of a teacher that ends in a softmax', async () => {
    const x = float32([2, 2], [1, 2, -1, 0.5]);
    const batch = { x, y: int64([2], [0, 1]) };
    const teacher = await Teacher.create(runtime, linear([1, 0, 0, 1], { softmax: true }), { batch: 2 });
    assertClose((await teacher.logits(batch)).data as Float32Array, [1, 2, -1, 0.5], 1e-6);
    teacher.dispose();
  });

  it('learns what the teacher says where its weight is one, against labels that say the opposite', async () => {
    const random = new Random(5);
    const x = float32([64, 2], Float32Array.from({ length: 128 }, () => random.normal())); // prettier-ignore
    const y = int64([64], Array.from({ length: 64 }, (_, i) => (Number(x.data[2 * i]) > Number(x.data[2 * i + 1]) ? 1 : 0))); // prettier-ignore
    const agreement = async (weight: number): Promise<number> => {
      const { epochs } = await train(
        runtime,
        linear([0, 0.1, 0.1, 0]),
        { stepsPerEpoch: 1, train: () => one({ x, y }), test: () => one({ x, y }) },
        {
          ...{ epochs: 40, batch: 64, optimiser, schedule: { kind: 'constant', rate: 0.5 } },
          distillation: { teacher: linear([3, 0, 0, 3]), weight, temperature: 2 },
        },
      );
      return epochs.at(-1)!.accuracy;
    };
    assert.ok((await agreement(1)) < 0.1);
    assert.ok((await agreement(0.01)) > 0.9);
  });

  it('gives the same step in both layouts, with adversarial noise too', async () => {
    const network = createModel('resnet8', { input: [3, 12, 12], classes: 3, seed: 1 });
    const data = await openDataset('generated:shapes?classes=3&size=12&seed=2&count=24');
    const teacher = float32([24, 3], Float32Array.from({ length: 72 }, (_, i) => Math.sin(i))); // prettier-ignore
    const lossesOf = async (layout: 'portable' | 'auto'): Promise<number[]> => {
      const perturbation = createPerturbation(network, { method: 'anl' }, () => assert.fail('only adversarial inputs ask'));
      const trainer = await Trainer.create(runtime, network, { batch: 24, optimiser, layout, perturbation, distillation: { weight: 0.5, temperature: 4 } }); // prettier-ignore
      const losses: number[] = [];
      for await (const { x, y } of batches(data.train, { batch: 24, dropLast: true }))
        for (let i = 0; i < 3; i++) losses.push((await trainer.step(x, y, 0.02, { teacher })).loss);
      trainer.dispose();
      return losses;
    };
    assertClose(await lossesOf('auto'), await lossesOf('portable'), 1e-3);
  });

  it('refuses a teacher of other classes, and takes one whose file has another batch', async () => {
    const trainer = await Trainer.create(runtime, linear([1, 0, 0, 1]), { batch: 2, optimiser, distillation: { weight: 0.5, temperature: 4 } }); // prettier-ignore
    const x = float32([2, 2], [1, 2, -1, 0.5]);
    await assert.rejects(
      trainer.step(x, int64([2], [0, 1]), 0.1, { teacher: float32([2, 3], [0, 0, 0, 0, 0, 0]) }),
      (error) => error instanceof SurgeryError && error.code === 'option-invalid' && error.message.includes('[2, 3]'),
    );
    trainer.dispose();
    const fixed = linear([1, 0, 0, 1]);
    fixed.inputs[0]!.shape = [7, 2];
    const teacher = await Teacher.create(runtime, fixed, { batch: 2 });
    assert.deepEqual([...((await teacher.logits({ x, y: int64([2], [0, 1]) })).data as Float32Array)], [1, 2, -1, 0.5]);
    teacher.dispose();
  });
});

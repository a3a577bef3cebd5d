import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { float32, int64 } from '../../../engine/graph/tensor';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { Runtime } from '../../../engine/runtime/runtime';
import { findTensorFlow } from '../../../engine/runtime/tfjs/findTensorFlow';
import { openTensorFlow } from '../../../engine/runtime/tfjs/tfjsRuntime';
import { Trainer } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';
import { held, tensorFlow } from '../../support/tensorFlow';

const STEPS = 10;

/** Losses of ten steps on fixed random batches, the weights after them, and the tensors held after each step. */
async function trained(runtime: Runtime, network: Graph, input: readonly number[]) {
  const trainer = await Trainer.create(runtime, network, {
    batch: 4,
    optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
    seed: 3,
  });
  const random = new Random(11);
  const losses: number[] = [];
  const tensors: number[] = [];
  try {
    for (let step = 0; step < STEPS; step++) {
      const x = float32([4, ...input]);
      for (let i = 0; i < x.data.length; i++) x.data[i] = random.normal();
      const y = int64([4], [0, 1, 2, 3]);
      losses.push((await trainer.step(x, y, 0.02)).loss);
      tensors.push(held().bytes);
    }
    await trainer.sync();
    return { losses, tensors, weights: trainer.weights().initializers };
  } finally {
    trainer.dispose();
  }
}

/** A small network with the parts that residual ones have: batch norm, a strided shortcut, pooling. */
function residualNetwork(): Graph {
  const builder = new GraphBuilder('residual');
  const random = new Random(5);
  const weight = (name: string, dims: number[]): string => {
    const tensor = float32(dims);
    for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 0.3 * random.normal();
    return builder.initializer(name, tensor);
  };
  const conv = (x: string, name: string, [filters, channels, size]: number[], stride: number): string =>
    builder.emit('Conv', [x, weight(name, [filters!, channels!, size!, size!])], {
      kernel_shape: [size!, size!],
      strides: [stride, stride],
      pads: Array<number>(4).fill((size! - 1) / 2),
    });
  const norm = (x: string, name: string, channels: number): string => {
    const vector = (part: string, value: number): string =>
      builder.initializer(`${name}.${part}`, float32([channels], new Float32Array(channels).fill(value)));
    return builder.emit('BatchNormalization', [x, vector('scale', 1), vector('bias', 0), vector('mean', 0), vector('var', 1)]);
  };
  const x = builder.input('x', ['N', 3, 8, 8]);
  const first = builder.emit('MaxPool', [builder.emit('Relu', [norm(conv(x, 'c1', [4, 3, 3], 1), 'n1', 4)])], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
  });
  const main = norm(conv(first, 'c2', [6, 4, 3], 2), 'n2', 6);
  const sum = builder.emit('Relu', [builder.emit('Add', [main, conv(first, 'c3', [6, 4, 1], 2)])]);
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [sum])]);
  builder.output(builder.emit('Gemm', [flat, weight('fc', [4, 6])], { transB: 1 }), 'logits');
  return builder.graph;
}

describe('training on the TensorFlow runtime', () => {
  it('follows the default runtime over ten steps of a network with batch norm', async () => {
    const network = residualNetwork();
    const reference = await trained(openRuntime(), network, [3, 8, 8]);
    const actual = await trained(tensorFlow, network, [3, 8, 8]);
    assertClose(actual.losses, reference.losses, 1e-4, 'losses');
    for (const [name, tensor] of reference.weights)
      assertClose(actual.weights.get(name)!.data as Float32Array, tensor.data as Float32Array, 1e-3, name, 1e-5);
    assert.equal(new Set(actual.tensors).size, 1, `memory is not flat: ${actual.tensors.join(', ')}`);
  });

  it('holds nothing once it is disposed', async () => {
    const before = held();
    await trained(tensorFlow, createModel('resnet8', { input: [3, 8, 8], classes: 4, seed: 1 }), [3, 8, 8]);
    assert.deepEqual(held(), before);
  });
});

describe('the installed TensorFlow', () => {
  it('is found where it lies, and starts', async () => {
    const [installation] = findTensorFlow([process.cwd()]);
    assert.ok(installation);
    const runtime = await openTensorFlow([installation]);
    assert.match(runtime.devices[0]!.description, /@tensorflow\/tfjs-/);
  });

  it('says how to get it where it is not', async () => {
    assert.deepEqual(findTensorFlow(['/nowhere']), []);
    await assert.rejects(openTensorFlow([]), /TensorFlow is not installed; run "Scalpel: Install TensorFlow Runtime"/);
  });
});

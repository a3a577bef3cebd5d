import assert from 'node:assert/strict';
import { createModel } from '../../../../engine/architectures/createModel';
import { type TrainingGraphOptions, buildTrainingGraph } from '../../../../engine/autodiff/trainingGraph';
import { type Graph, feedsOf } from '../../../../engine/graph/graph';
import { Random } from '../../../../engine/graph/random';
import { type Tensor, elementCount, float32, int64 } from '../../../../engine/graph/tensor';
import { NCHWC } from '../../../../engine/ops/nchwc';
import { findChannelGroups } from '../../../../engine/pruning/channelGroups';
import { insertGates } from '../../../../engine/pruning/gates';
import { createPerturbation } from '../../../../engine/robustness/noise/createPerturbation';
import type { NoiseMethod } from '../../../../engine/contract/noise';
import { GraphBuilder } from '../../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../../../engine/training/trainer';
import { assertClose } from '../../../support/close';

const runtime = openRuntime();
const BATCH = 6;

function images(dims: readonly number[], seed: number): Tensor {
  const random = new Random(seed);
  return float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );
}

const labels = int64([BATCH], [0, 1, 2, 0, 1, 2]);

/** Pre-activation, convolutions without norm, a concatenation, average pools and an overlapping max pool, with odd channel counts. */
function mixture(): Graph {
  const builder = new GraphBuilder('mixture');
  const random = new Random(5);
  const tensor = (name: string, dims: readonly number[], scale: number): string => {
    const data = Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, scale));
    return builder.initializer(name, float32(dims, data));
  };
  const conv = (x: string, name: string, c: number, k: number): string =>
    builder.emit('Conv', [x, tensor(`${name}.w`, [k, c, 3, 3], 1 / Math.sqrt(9 * c)), tensor(`${name}.b`, [k], 0.1)], {
      pads: [1, 1, 1, 1],
    });
  const norm = (x: string, name: string, c: number): string => {
    const filled = (kind: string, value: number): string =>
      builder.initializer(`${name}.${kind}`, float32([c], new Float32Array(c).fill(value)));
    return builder.emit('BatchNormalization', [
      x,
      tensor(`${name}.scale`, [c], 1),
      tensor(`${name}.bias`, [c], 0.5),
      filled('mean', 0.1),
      filled('variance', 1),
    ]);
  };
  const stem = conv(builder.input('x', ['N', 3, 12, 12]), 'stem', 3, 16);
  const inner = conv(builder.emit('Relu', [norm(stem, 'n1', 16)]), 'a', 16, 16);
  const sum = builder.emit('Add', [inner, stem]);
  const wide = builder.emit('Concat', [sum, builder.emit('Tanh', [sum])], { axis: 1 });
  const pooled = builder.emit('AveragePool', [wide], { kernel_shape: [2, 2], strides: [2, 2] });
  const odd = builder.emit('Sigmoid', [conv(pooled, 'b', 32, 13)]);
  const overlapping = builder.emit('MaxPool', [odd], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  const last = builder.emit('Relu', [norm(conv(overlapping, 'c', 13, 20), 'n2', 20)]);
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [last])], { axis: 1 });
  builder.output(builder.emit('Gemm', [flat, tensor('fc', [20, 3], 0.3)]), 'logits');
  return builder.graph;
}

/** As in ResNeXt and ShuffleNet: grouped convolutions of few channels, strided too, and channels that change places. */
function grouped(): Graph {
  const builder = new GraphBuilder('grouped');
  const random = new Random(6);
  const conv = (x: string, name: string, c: number, k: number, group: number, stride = 1): string => {
    const dims = [k, c / group, 3, 3];
    const data = Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, Math.sqrt(group / (9 * c))));
    return builder.emit('Conv', [x, builder.initializer(name, float32(dims, data))], {
      pads: [1, 1, 1, 1],
      group,
      strides: [stride, stride],
    });
  };
  const relu = (x: string): string => builder.emit('Relu', [x]);
  const stem = relu(conv(builder.input('x', ['N', 3, 8, 8]), 'stem', 3, 32, 1));
  const narrow = relu(builder.emit('Add', [conv(stem, 'a', 32, 32, 8), stem]));
  const split = builder.emit('Reshape', [narrow, builder.ints([0, 8, 4, 8, 8])]);
  const mixed = builder.emit('Reshape', [builder.emit('Transpose', [split], { perm: [0, 2, 1, 3, 4] }), builder.ints([0, 32, 8, 8])]);
  const last = relu(conv(mixed, 'b', 32, 64, 2, 2));
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [last])], { axis: 1 });
  builder.output(builder.emit('Gemm', [flat, builder.initializer('fc', images([64, 3], 9))]), 'logits');
  return builder.graph;
}

const NETWORKS: Readonly<Record<string, () => Graph>> = {
  'resnet8, padded shortcut': () => createModel('resnet8', { input: [3, 8, 8], classes: 3, seed: 1 }),
  'resnet8, convolution on the shortcut': () => createModel('resnet8', { input: [3, 8, 8], classes: 3, shortcut: 'conv', seed: 2 }),
  'small-cnn': () => createModel('small-cnn', { input: [1, 8, 8], classes: 3, seed: 3 }),
  'mixture of operators': mixture,
  'grouped convolutions': grouped,
};

/** Loss, gradients, running statistics and noise of one batch, in the form of files. */
async function step(network: Graph, block: number, options: Partial<TrainingGraphOptions> = {}): Promise<Map<string, Tensor>> {
  const training = buildTrainingGraph(network, { batch: BATCH, training: true, block, ...options });
  assert.equal(
    training.graph.nodes.some((node) => node.domain === NCHWC),
    block > 1,
  );
  const program = await runtime.compile(training.graph);
  const feeds = new Map<string, Tensor>();
  for (const { name, shape = [] } of feedsOf(training.graph)) {
    const plain = network.initializers.get(name);
    if (name === training.y) feeds.set(name, labels);
    else if (plain) feeds.set(name, training.encodings.get(name)?.encode(plain) ?? plain);
    else if (name.endsWith('deviation')) feeds.set(name, float32([], [0.7]));
    else feeds.set(name, images(shape as number[], name === training.x ? 4 : 5));
  }
  const results = await program.run(feeds);
  program.dispose();
  const plain = (name: string, output: string): [string, Tensor] => {
    const tensor = results.get(output) as Tensor;
    return [name, training.encodings.get(name)?.decode(tensor) ?? tensor];
  };
  return new Map([
    plain('loss', training.loss),
    ...[...training.gradients, ...training.updated].map(([name, output]) => plain(name, output)),
    ...training.state.map(({ input, output }) => plain(input, output)),
    ...[...training.reports].map(([layer, output]) => plain(`report/${layer}`, output)),
  ]);
}

describe('the blocked layout', function () {
  let block = 1;
  before(async function () {
    block = (await runtime.blockedKernels?.())?.block ?? 1;
    if (block === 1) this.skip();
  });

  /** A step gives the same in both layouts. */
  async function assertSame(network: Graph, options: Partial<TrainingGraphOptions> = {}): Promise<void> {
    const [portable, blocked] = [await step(network, 1, options), await step(network, block, options)];
    assert.deepEqual([...blocked.keys()].sort(), [...portable.keys()].sort());
    const largest = Math.max(...[...portable.values()].flatMap((t) => Array.from(t.data as Float32Array, Math.abs)));
    for (const [key, tensor] of portable)
      assertClose(blocked.get(key)!.data as Float32Array, tensor.data as Float32Array, 1e-4, key, 1e-6 * largest);
  }

  for (const [name, make] of Object.entries(NETWORKS)) {
    it(`gives the loss, gradients and statistics of the portable layout: ${name}`, () => assertSame(make()));

    it(`gives its gradients with running statistics: ${name}`, () => assertSame(make(), { training: false }));

    it(`gives the gradient of its input, as attacks ask for it: ${name}`, () =>
      assertSame(make(), { training: false, parameters: [], inputGradient: true }));

    it(`gives the gradients of its gates, with all else frozen: ${name}`, async () => {
      const { graph, gates } = insertGates(findChannelGroups(make()));
      const parameters = [...new Set([...gates.values()].flat().map((gate) => gate.name))];
      await assertSame(graph, { parameters });
      await assertSame(graph, { parameters, training: false });
    });
  }

  for (const method of ['gaussian', 'dropout', 'random-sign', 'canl', 'anl', 'adversarial'] satisfies NoiseMethod[])
    it(`gives the gradients, noise and stored state of the portable layout with ${method} noise`, async () => {
      const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [-9], highest: [9] });
      const residual = createModel('resnet8', { input: [3, 8, 8], classes: 3, shortcut: 'conv', seed: 2 });
      for (const network of method === 'anl' ? [mixture(), residual] : [mixture()])
        await assertSame(network, { perturbation: createPerturbation(network, { method }, pixels) });
    });

  it('trains to the same weights, and a checkpoint fits both layouts', async () => {
    const network = createModel('resnet8', { input: [3, 8, 8], classes: 3, seed: 1 });
    const options = { batch: BATCH, optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 1e-3 } } as const;
    const x = images([BATCH, 3, 8, 8], 8);
    const blocked = await Trainer.create(runtime, network, { ...options, layout: 'blocked' });
    const portable = await Trainer.create(runtime, network, { ...options, layout: 'portable' });
    for (let i = 0; i < 2; i++) await blocked.step(x, labels, 0.01);
    portable.importState(blocked.exportState());
    for (const trainer of [blocked, portable]) await trainer.step(x, labels, 0.01);
    const expected = portable.weights().initializers;
    for (const [name, tensor] of blocked.weights().initializers)
      if (tensor.type === 'float32') assertClose(tensor.data as Float32Array, expected.get(name)!.data as Float32Array, 1e-4, name, 1e-5);
    [blocked, portable].forEach((t) => t.dispose());
  });
});

import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import type { NoiseOptions } from '../../../engine/contract/noise';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { elementCount, float32, int64, type Tensor } from '../../../engine/graph/tensor';
import { parametersOf } from '../../../engine/ops/parameters';
import { createPerturbation, storeBytes } from '../../../engine/robustness/noise/createPerturbation';
import { insertionPoints } from '../../../engine/robustness/noise/insertionPoints';
import { insertGates } from '../../../engine/pruning/gates';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { applyOperations } from '../../../engine/surgery/plan';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';

const runtime = openRuntime();
const CLASSES = 3;
const BATCH = 9;
const random = new Random(2);
const x = float32(
  [BATCH, 1, 8, 8],
  Float32Array.from({ length: BATCH * 64 }, () => random.uniform()),
);
const y = int64(
  [BATCH],
  Array.from({ length: BATCH }, (_, i) => i % 2),
);
const network = (): Graph => createModel('small-cnn', { input: [1, 8, 8], classes: CLASSES, seed: 3 });
const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [0], highest: [1] });

const trainerWith = (noise: NoiseOptions | undefined, graph = network()): Promise<Trainer> =>
  Trainer.create(runtime, graph, {
    batch: BATCH,
    seed: 4,
    optimiser: { kind: 'sgd', momentum: 0.9 },
    perturbation: noise && createPerturbation(graph, noise, pixels),
  });

const stateOf = (trainer: Trainer, name: string): Float32Array => trainer.exportState().tensors.get(name)!.data as Float32Array;
const sample = (stored: Float32Array, c: number): Float32Array =>
  stored.subarray((c * stored.length) / CLASSES, ((c + 1) * stored.length) / CLASSES);

const METHODS: readonly NoiseOptions[] = [
  { method: 'anl', epsilon: 0.5 },
  { method: 'canl', epsilon: 0.5 },
  { method: 'canl', epsilon: 0.5, kept: 0.9, buffers: 'channel-mean' },
  { method: 'gaussian', epsilon: 0.5 },
  { method: 'random-sign', epsilon: 0.5 },
  { method: 'dropout', epsilon: 0.3 },
  { method: 'adversarial', epsilon: 0.1 },
];

describe('noise while training', () => {
  for (const noise of METHODS)
    it(`goes on bit for bit after an interruption and leaves an ordinary network: ${JSON.stringify(noise)}`, async () => {
      const whole = await trainerWith(noise);
      const half = await trainerWith(noise);
      for (let i = 0; i < 2; i++) await half.step(x, y, 0.05);
      const rest = await trainerWith(noise);
      rest.importState(half.exportState());
      for (let i = 0; i < 4; i++) await whole.step(x, y, 0.05);
      for (let i = 0; i < 2; i++) await rest.step(x, y, 0.05);
      const [a, b] = [whole.weights(), rest.weights()];
      for (const [name, tensor] of a.initializers) assert.deepEqual(b.initializers.get(name), tensor, name);
      assert.deepEqual(a.nodes, network().nodes);
      assert.deepEqual([...a.initializers.keys()], [...network().initializers.keys()]);
      [whole, half, rest].forEach((trainer) => trainer.dispose());
    });

  it('reports how strong it was: nothing in the first step, then about what was asked for', async () => {
    const trainer = await trainerWith({ method: 'gaussian', epsilon: 0.5 });
    assert.ok([...(await trainer.step(x, y, 0.05)).reports.values()].every((v) => v === 0));
    const deviation = stateOf(trainer, 'state/noise/bn1/deviation')[0]!;
    const { reports } = await trainer.step(x, y, 0.05);
    assert.ok(Math.abs(reports.get('bn1')! / (0.5 * deviation) - 1) < 0.1, `${reports.get('bn1')} for a deviation of ${deviation}`);
    trainer.dispose();
  });

  it('of adversarial training stays within its step and the range of the data', async () => {
    const trainer = await trainerWith({ method: 'adversarial', epsilon: 0.25 });
    const { reports } = await trainer.step(x, y, 0);
    assert.ok(reports.get('input')! > 0.1 && reports.get('input')! <= 0.25);
    trainer.dispose();
  });

  it('refuses what cannot be, by name', () => {
    const create = (noise: NoiseOptions) => () => createPerturbation(network(), noise, pixels);
    assert.throws(create({ method: 'anl', layers: ['nowhere'] }), /no layer nowhere/);
    assert.throws(create({ method: 'anl', layers: ['logits'] }), /makes the network's output/);
    assert.throws(create({ method: 'dropout', epsilon: 1 }), /probability/);
    assert.throws(create({ method: 'canl', kept: 1 }), /below 1/);
    assert.throws(create({ method: 'adversarial', layers: ['bn1'] }), /perturbs the input/);
  });
});

describe('noise in a surgery plan', () => {
  const operation = (noise: NoiseOptions) => ({ kind: 'insert-noise' as const, id: 'noise', enabled: true, noise });

  it('changes how the network trains, not the network', async () => {
    const graph = network();
    const noise: NoiseOptions = { method: 'anl', layers: ['bn2'] };
    const applied = await applyOperations(graph, [operation({ method: 'canl' }), operation(noise)], () => runtime);
    assert.equal(applied.graph, graph);
    assert.deepEqual([applied.noise, applied.cuts], [noise, []]);
    const off = await applyOperations(graph, [{ ...operation(noise), enabled: false }], () => runtime);
    assert.equal(off.noise, undefined);
  });

  it('names a layer that the network does not have', async () => {
    const operations = [operation({ method: 'anl', layers: ['bn9'] })];
    await assert.rejects(
      applyOperations(network(), operations, () => runtime),
      /no layer bn9/,
    );
  });
});

describe('class-wise noise', () => {
  it("stores each class's mean gradient and keeps those of classes that are not in the batch", async () => {
    const stored = 'state/noise/bn2/gradients';
    const trainer = await trainerWith({ method: 'canl', epsilon: 0.5 });
    await trainer.step(x, y, 0);
    const first = stateOf(trainer, stored);
    assert.ok(sample(first, 0).some((v) => v !== 0) && sample(first, 1).some((v) => v !== 0));
    assert.ok(sample(first, 2).every((v) => v === 0));
    const others = int64([BATCH], new Array<number>(BATCH).fill(2));
    await trainer.step(x, others, 0);
    const second = stateOf(trainer, stored);
    assert.deepEqual(sample(second, 0), sample(first, 0));
    assert.ok(sample(second, 2).some((v) => v !== 0));
    trainer.dispose();
  });

  it('replaces or averages, of whole gradients or of channel means', async () => {
    const gradientsAfter = async (noise: Omit<NoiseOptions, 'method'>, steps: number): Promise<Tensor> => {
      const trainer = await trainerWith({ ...noise, method: 'canl', epsilon: 0 });
      for (let i = 0; i < steps; i++) await trainer.step(x, y, 0);
      const tensor = trainer.exportState().tensors.get('state/noise/bn2/gradients')!;
      trainer.dispose();
      return tensor;
    };
    const full = await gradientsAfter({}, 1);
    const averaged = await gradientsAfter({ kept: 0.9 }, 2);
    const scale = 1 - 0.9 ** 2;
    assertClose(
      averaged.data as Float32Array,
      (full.data as Float32Array).map((v) => v * scale),
      1e-4,
    );
    const channels = await gradientsAfter({ buffers: 'channel-mean' }, 1);
    assert.deepEqual(channels.dims, [CLASSES, 32, 1, 1]);
    const area = elementCount(full.dims) / elementCount(channels.dims);
    const means = Float32Array.from(
      channels.data as Float32Array,
      (_, i) => (full.data as Float32Array).subarray(i * area, (i + 1) * area).reduce((a, b) => a + b, 0) / area,
    );
    assertClose(channels.data as Float32Array, means, 1e-4);
  });

  it('knows what it stores and refuses more than 1 GiB', () => {
    const graph = createModel('vgg16-bn', { input: [3, 32, 32], classes: 10, seed: 1 });
    assert.equal(storeBytes(graph, insertionPoints(graph), 'full'), 276_480 * 10 * 4);
    const large = createModel('resnet50', { input: [3, 224, 224], classes: 1000, seed: 1 });
    assert.throws(() => createPerturbation(large, { method: 'canl' }, pixels), /GiB/);
    createPerturbation(large, { method: 'canl', buffers: 'channel-mean' }, pixels);
  });
});

/** Sites, and parameters by the authors' networks (papers.md 2.4). VGG-16's convolutions have a bias. */
const NETWORKS = [
  ['vgg16-bn', 13, 14_728_266],
  // The official MobileNetV2 leaves the activation after the last 1x1 convolution without noise: 35.
  ['mobilenet-v2', 36, 2_296_922],
  ['wrn-28-10', 25, 36_479_194],
] as const;

describe('places for noise', () => {
  for (const [name, sites, parameters] of NETWORKS)
    it(`are ${sites} in ${name}, which keeps its ${parameters} parameters`, () => {
      const graph = createModel(name, { input: [3, 32, 32], classes: 10, seed: 1 });
      assert.equal(insertionPoints(graph).length, sites);
      assert.equal(
        parametersOf(graph).reduce((n, p) => n + elementCount(graph.initializers.get(p)!.dims), 0),
        parameters,
      );
    });

  it('are after the layer itself where no norm is, and after the gate while one prunes', () => {
    const plain = createModel('alexnet', { input: [3, 224, 224], classes: 10, seed: 1 });
    assert.equal(insertionPoints(plain).length, 7);
    const graph = network();
    const { graph: gated } = insertGates(findChannelGroups(graph));
    assert.equal(insertionPoints(gated).length, insertionPoints(graph).length);
  });
});

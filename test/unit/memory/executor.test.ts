import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { memoryFloor, planMemory } from '../../../engine/memory/plan';
import type { MemoryProgram } from '../../../engine/memory/program';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { createPerturbation } from '../../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { MemoryOptions } from '../../../engine/runtime/runtime';
import { SpillFile } from '../../../engine/runtime/spillFile';
import { Trainer, type TrainerOptions } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';
import { tightBudget } from '../../support/tightBudget';

const runtime = openRuntime();
const BATCH = 16;

/** Convolutions with batch norm and a shortcut, then dropout before the classifier. */
function network(): Graph {
  const random = new Random(7);
  const builder = new GraphBuilder('net');
  const weight = (name: string, ...dims: number[]): string =>
    builder.initializer(
      name,
      float32(
        dims,
        Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.normal(0, 0.2)),
      ),
    );
  const filled = (name: string, value: number): string => builder.initializer(name, float32([8], new Float32Array(8).fill(value)));
  const block = (x: string, name: string, channels: number): string => {
    const conv = builder.emit('Conv', [x, weight(`${name}.w`, 8, channels, 3, 3)], { pads: [1, 1, 1, 1] }, { name });
    const norm = [conv, filled(`${name}.g`, 1), filled(`${name}.b`, 0), filled(`${name}.m`, 0), filled(`${name}.v`, 1)];
    return builder.emit('Relu', [builder.emit('BatchNormalization', norm, {}, { name: `${name}.bn` })], {}, { name: `${name}.relu` });
  };
  const first = block(builder.input('x', ['N', 3, 16, 16]), 'a', 3);
  const sum = builder.emit('Add', [first, block(block(first, 'b', 8), 'c', 8)], {}, { name: 'sum' });
  const pooled = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [sum])], { axis: 1 });
  const dropped = builder.emit('Dropout', [pooled, builder.scalar(0.4)], {}, { name: 'drop' });
  builder.output(builder.emit('Gemm', [dropped, weight('fc', 5, 8)], { transB: 1 }, { name: 'fc' }), 'logits');
  return builder.graph;
}

/** Twelve layers of 256 units: more weights than anything else. */
function manyLayers(): Graph {
  const weights = new Random(8);
  const builder = new GraphBuilder('deep');
  let value = builder.emit('Flatten', [builder.input('x', ['N', 3, 16, 16])], { axis: 1 });
  for (let i = 0, inputs = 768; i < 12; i++, inputs = 256) {
    const data = Float32Array.from({ length: 256 * inputs }, () => weights.normal(0, Math.sqrt(2 / inputs)));
    const weight = builder.initializer(`w${i}`, float32([256, inputs], data));
    value = builder.emit('Relu', [builder.emit('Gemm', [value, weight], { transB: 1 }, { name: `fc${i}` })], {}, { name: `relu${i}` });
  }
  builder.output(value, 'logits');
  return builder.graph;
}

const random = new Random(3);
const x = float32(
  [BATCH, 3, 16, 16],
  Float32Array.from({ length: BATCH * 768 }, () => random.normal()),
);
const y = int64(
  [BATCH],
  Array.from({ length: BATCH }, (_, i) => i % 5),
);

async function trained(graph: Graph, memory: MemoryOptions | undefined, extra: Partial<TrainerOptions> = {}) {
  const trainer = await Trainer.create(runtime, graph, {
    ...extra,
    batch: BATCH,
    optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
    seed: 11,
    layout: 'portable',
    memory,
  });
  const losses: number[] = [];
  for (let i = 0; i < 4; i++) losses.push((await trainer.step(x, y, 0.05)).loss);
  await trainer.sync();
  const weights = [...trainer.weights().initializers].flatMap(([, tensor]) =>
    tensor.type === 'float32' ? [...(tensor.data as Float32Array)] : [],
  );
  trainer.dispose();
  return { losses, weights };
}

function trainingProgram(graph: Graph): MemoryProgram {
  const training = buildTrainingGraph(graph, {
    batch: BATCH,
    training: true,
    optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
  });
  return lowerGraph(training.graph, { carry: carriedValues(training) }).program;
}

describe('memory: training within a budget', () => {
  it('gives the same bits under every policy, with batch norm and dropout and freed memory poisoned', async () => {
    const graph = network();
    const reference = await trained(graph, { policy: 'liveness', poison: true });
    const program = trainingProgram(graph);
    let [moved, repeated] = [0, 0];
    for (const policy of ['none', 'offload', 'recompute', 'auto'] as const) {
      const budget = policy === 'none' ? undefined : tightBudget(program, policy);
      const { trafficBytes, recomputations } = planMemory(program, policy, budget);
      moved += trafficBytes;
      repeated += recomputations;
      assert.deepEqual(await trained(graph, { policy, poison: true, budget }), reference, policy);
    }
    assert.ok(moved > 0 && repeated > 0, `${moved} bytes moved, ${repeated} operations repeated`);
    const plain = await trained(graph, undefined);
    assertClose(reference.losses, plain.losses, 1e-5);
    assertClose(reference.weights, plain.weights, 1e-4);
  });

  it('gives the same bits with adversarial noise, gradients accumulated and the weights in the spill', async () => {
    const graph = network();
    const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [-3], highest: [3] });
    const extra = { accumulate: 2, perturbation: createPerturbation(graph, { method: 'anl', epsilon: 0.3 }, pixels) };
    const training = buildTrainingGraph(graph, {
      batch: BATCH,
      training: true,
      optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
      ...extra,
    });
    const { program } = lowerGraph(training.graph, { carry: carriedValues(training) });
    const reference = await trained(graph, { policy: 'liveness', poison: true }, extra);
    for (const policy of ['offload', 'recompute', 'auto'] as const) {
      const budget = memoryFloor(program, policy).bytes;
      assert.deepEqual(await trained(graph, { policy, poison: true, budget }, extra), reference, policy);
    }
  });

  it('keeps weights in the spill when they are most of what a step holds', async () => {
    const graph = manyLayers();
    const training = buildTrainingGraph(graph, {
      batch: BATCH,
      training: true,
      optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
    });
    const { program } = lowerGraph(training.graph, { carry: carriedValues(training) });
    const pinned = program.storages.reduce((sum, storage) => sum + (storage.pinned ? storage.bytes : 0), 0);
    const budget = memoryFloor(program, 'auto').bytes;
    assert.ok(budget < pinned && planMemory(program, 'auto', budget).homes.size > 0, `floor ${budget}, weights and state ${pinned}`);
    assert.deepEqual(await trained(graph, { budget, poison: true }), await trained(graph, { policy: 'none' }));
  });

  it('refuses a budget that cannot be met, with the floor and the layer that sets it', async () => {
    const graph = createModel('resnet8', { input: [3, 16, 16], classes: 3, seed: 1 });
    await assert.rejects(trained(graph, { budget: 40_000 }), /at least \d+\.\d MiB, set by layer \S+/);
  });

  it('leaves no spill file behind, removes that of a dead process and refuses what the disk does not hold', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-test-'));
    writeFileSync(path.join(folder, 'scalpel-spill-999999999-abc'), 'left');
    const spill = SpillFile.open(1 << 20, folder);
    assert.deepEqual(process.platform === 'win32' ? [] : readdirSync(folder), []);
    spill.close();
    assert.deepEqual(readdirSync(folder), []);
    assert.throws(() => SpillFile.open(2 ** 52, folder), /MiB free/);
    rmSync(folder, { recursive: true });
  });
});

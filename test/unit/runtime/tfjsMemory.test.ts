import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { createModel } from '../../../engine/architectures/createModel';
import { Layers } from '../../../engine/architectures/layers';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import type { MemoryPolicy } from '../../../engine/contract/memory';
import type { Graph } from '../../../engine/graph/graph';
import { timelineOf } from '../../../engine/memory/timeline';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { MemoryOptions } from '../../../engine/runtime/runtime';
import { ScheduledTfjsProgram } from '../../../engine/runtime/tfjs/scheduledTfjsProgram';
import { Trainer } from '../../../engine/training/trainer';
import { TfjsRuntime } from '../../../engine/runtime/tfjs/tfjsRuntime';
import { assertClose } from '../../support/close';
import { trainOnNoise, trainSteps } from '../../support/smallNetworks';
import { held, tensorFlow } from '../../support/tensorFlow';
import { tightBudget } from '../../support/tightBudget';

/** Five convolutions with batch norm: activations that come cheaply from others. */
function chain(): Graph {
  const net = new Layers('chain', 3, 'fan-out');
  let x = net.input([3, 8, 8]);
  for (let i = 0; i < 5; i++) x = net.relu(net.batchNorm(net.conv(x, `c${i}`, 4), `n${i}`), `r${i}`);
  return net.finish(net.linear(net.flatten(x), 'fc', 4));
}

const BATCH = 8;
const OPTIONS = { batch: BATCH, optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 } } as const;

/** A training step compiled with a policy. */
async function compiled(network: Graph, memory: MemoryOptions): Promise<ScheduledTfjsProgram> {
  const training = buildTrainingGraph(network, { ...OPTIONS, training: true });
  return tensorFlow.compile(training.graph, { carry: carriedValues(training), memory });
}

async function budgetFor(network: Graph, policy: MemoryPolicy): Promise<number> {
  const program = await compiled(network, { policy: 'liveness' });
  program.dispose();
  return tightBudget(program.program, policy);
}

describe('a memory budget on the TensorFlow runtime', () => {
  const network = chain();

  it('gives the same bits as training without one, and follows the default runtime, over ten steps', async () => {
    const options = { steps: 10, batch: BATCH };
    const reference = await trainOnNoise(openRuntime(), network, options);
    const plain = await trainOnNoise(tensorFlow, network, options);
    assertClose(plain.losses, reference.losses, 1e-4, 'losses');
    let [moved, repeated] = [0, 0];
    for (const policy of ['offload', 'recompute', 'auto'] as const) {
      const budget = await budgetFor(network, policy);
      const program = await compiled(network, { policy, budget });
      moved += program.schedule.trafficBytes;
      repeated += program.schedule.recomputations;
      program.dispose();
      const before = held();
      const actual = await trainOnNoise(tensorFlow, network, { ...options, memory: { policy, budget } });
      assert.deepEqual(actual.losses, plain.losses, policy);
      for (const [name, tensor] of plain.weights) assert.deepEqual(actual.weights.get(name)?.data, tensor.data, `${name}, ${policy}`);
      assert.deepEqual(held(), before);
    }
    assert.ok(moved > 0 && repeated > 0, `${moved} bytes moved, ${repeated} operations repeated`);
  });

  for (const policy of ['liveness', 'recompute', 'auto'] as const)
    it(`holds what the plan says, and never more than the budget (${policy})`, async () => {
      const budget = await budgetFor(network, policy);
      const before = held().bytes;
      const program = await compiled(network, { policy, budget });
      const trainer = await Trainer.create(
        { name: 'compiled', devices: [], compile: () => Promise.resolve(program), compileBytes: () => Promise.resolve(program) },
        network,
        OPTIONS,
      );
      const { peakBytes } = await tf.profile(async () => {
        await trainSteps(trainer, { steps: 2, batch: BATCH });
        return [];
      });
      trainer.dispose();
      const planned = Math.max(
        ...timelineOf(program.program, program.schedule, (bytes) => bytes).map(({ bytes }) =>
          Object.values(bytes).reduce((a, b) => a + b, 0),
        ),
      );
      assert.ok(peakBytes - before <= budget, `${peakBytes - before} bytes, budget ${budget}`);
      assert.equal(peakBytes - before, planned);
    });

  it('gives the same bits for an LSTM', async () => {
    const lstm = createModel('lstm', { input: [5, 3], classes: 4, hidden: 6, seed: 2 });
    const options = { steps: 10, batch: BATCH, input: [5, 3] };
    const plain = await trainOnNoise(tensorFlow, lstm, options);
    assertClose(plain.losses, (await trainOnNoise(openRuntime(), lstm, options)).losses, 1e-4, 'losses');
    const actual = await trainOnNoise(tensorFlow, lstm, { ...options, memory: { budget: await budgetFor(lstm, 'auto') } });
    assert.deepEqual(actual.losses, plain.losses);
  });

  it('keeps what leaves a GPU in the host’s memory', async () => {
    const budget = await budgetFor(network, 'offload');
    const options = { steps: 2, batch: BATCH, memory: { policy: 'offload', budget } } as const;
    const gpu = new TfjsRuntime(tf, { package: 'fake-gpu', version: '1', hardware: 'pretends to have a memory of its own' });
    const [inMemory, inFile] = [await trainOnNoise(gpu, network, options), await trainOnNoise(tensorFlow, network, options)];
    assert.deepEqual(inMemory.losses, inFile.losses);
  });

  it('refuses a budget that cannot be met, with the floor', async () => {
    await assert.rejects(compiled(network, { budget: 20_000 }), /at least \d+\.\d MiB, set by layer \S+/);
  });
});

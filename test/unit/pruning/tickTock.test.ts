import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import type { TickTockPoint } from '../../../engine/contract/tickTock';
import { batches } from '../../../engine/datasets/batches';
import { openDataset } from '../../../engine/datasets/openDataset';
import { SurgeryError } from '../../../engine/graph/errors';
import { bytesOf, takeAlong } from '../../../engine/graph/tensor';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { minimalChannels, tickRemovals } from '../../../engine/pruning/tickSelection';
import { tickTock, type TickTockSetup } from '../../../engine/pruning/tickTock';
import { TICK_TOCK_DEFAULTS, describeTickTockConfig, parseTickTockConfig } from '../../../engine/pruning/tickTockConfig';
import { type TickTockState, packState, unpackState } from '../../../engine/pruning/tickTockState';
import { insertGates } from '../../../engine/pruning/gates';
import { createPerturbation } from '../../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { BatchSource } from '../../../engine/training/train';

const QUICK = { ...TICK_TOCK_DEFAULTS, batch: 24, tockEpochs: 1, finetuneEpochs: 0, finalEpochs: 0, initialTock: false, augment: false };

async function source(): Promise<BatchSource> {
  const data = await openDataset('generated:shapes?classes=3&size=12&seed=2&count=120');
  return {
    stepsPerEpoch: 4,
    train: (epoch) => batches(data.train, { batch: 24, shuffle: { seed: 1, epoch }, dropLast: true }),
  };
}

const model = () => createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'conv', seed: 1 });

async function run(change: Partial<TickTockSetup>) {
  const points: TickTockPoint[] = [];
  const network = model();
  const outcome = await tickTock({
    runtime: openRuntime(),
    network,
    source: await source(),
    config: QUICK,
    budget: { flops: 0.9 },
    onPoint: (point) => (points.push(point), point),
    ...change,
  });
  return { network, outcome, points };
}

describe('the number of filters that a Tick removes', () => {
  const group = (id: string, scores: number[], filters = 1) => ({
    id,
    scores,
    filters: scores.map(() => filters),
    minimal: minimalChannels(scores.length, 0.1),
  });
  const ramp = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i);

  it('is one more than the fraction: 3 of the 1,447 filters in step 152 of the authors’ ResNet-56', () => {
    assert.equal(tickRemovals([group('a', ramp(1000)), group('b', ramp(447, 2000))], 0.002).length, 3);
  });

  it('leaves a tenth of every layer, as the widths of 51 of 512 in the authors’ VGG-16 show', () => {
    assert.equal(minimalChannels(512, 0.1), 51);
    assert.equal(minimalChannels(64, 0.1), 6);
    assert.equal(minimalChannels(4, 0.1), 1);
    const removed = tickRemovals([group('a', ramp(512)), group('b', ramp(64, 10_000))], 0.99);
    assert.equal(removed.filter((r) => r.group === 'a').length, 512 - 51);
    assert.equal(removed.filter((r) => r.group === 'b').length, 64 - 6);
  });

  it('counts a channel of ten layers as ten filters, and takes ties', () => {
    const shared = group('shared', [1, 5, 9], 10);
    const free = group('free', [2, 2, 2, 8, 8]);
    assert.deepEqual(
      tickRemovals([shared, free], 0.2).map((r) => [r.group, r.channel]),
      [['shared', 0]],
    );
    assert.equal(tickRemovals([shared, free], 0.3).length, 4);
  });
});

describe('Tick-Tock', () => {
  it('changes no convolution in a Tick, stops at the budget and leaves the structure of the network', async () => {
    const { network, outcome, points } = await run({ config: { ...QUICK, filtersPerTick: 0.05 } });
    const start = findChannelGroups(network);
    assert.ok(points.every((p) => p.phase === 'tick') && points.length > 1);
    const [removed = 0, least] = [points[0]?.removed, Math.floor(0.05 * 336) + 1];
    assert.ok(removed >= least && removed < least + 3, `${removed} filters, a channel of a shortcut counts for each of its layers`);
    for (const group of start.groups)
      for (const layer of group.layers) {
        const weight = network.nodes.find((n) => n.name === layer)?.inputs[1] ?? '';
        const before = network.initializers.get(weight);
        const after = outcome.network.initializers.get(weight);
        if (!before || !after) throw new Error(`${weight} is missing`);
        const kept = [0, 1].reduce((tensor, axis) => {
          const channels = start.groups.flatMap((g) => {
            const member = (c: number) => g.channels[c]?.members.filter((m) => m.value === weight && m.axis === axis) ?? [];
            const keep = outcome.kept.get(g.id) ?? g.channels.map((_, c) => c);
            return member(0).length > 0 ? [keep.flatMap((c) => member(c).flatMap((m) => m.positions))] : [];
          });
          return channels[0] ? takeAlong(tensor, axis, channels[0]) : tensor;
        }, before);
        assert.deepEqual(after.dims, kept.dims);
        assert.equal(Buffer.compare(bytesOf(after), bytesOf(kept)), 0, `${weight} changed`);
      }
    assert.deepEqual([...outcome.network.initializers.keys()], [...network.initializers.keys()]);
    assert.ok(outcome.maskedDifference < 1e-5);
    const last = points.at(-1);
    assert.ok(last && last.macs <= 0.9 * 3_125_440 && last.macs > 0.8 * 1_757_000);
  });

  it('trains with noise in the network as it is at the moment, and keeps nothing of it', async () => {
    const config = { ...QUICK, filtersPerTick: 0.05, finetuneEpochs: 1 };
    const noisy: number[] = [];
    const perturbation: TickTockSetup['perturbation'] = (graph) => {
      const made = createPerturbation(graph, { method: 'anl', epsilon: 1 }, () => assert.fail('only adversarial inputs ask'));
      noisy.push(made.sites.length);
      return made;
    };
    const [plain, trained] = [await run({ config }), await run({ config, perturbation })];
    assert.ok(noisy.length > 2 && noisy.every((sites) => sites === noisy[0] && sites > 0), String(noisy));
    assert.notEqual(trained.points.at(-1)?.loss, plain.points.at(-1)?.loss);
    assert.deepEqual(
      trained.outcome.network.nodes.map((n) => n.op),
      trained.network.nodes.map((n) => n.op),
    );
  });

  it('learns the outputs of the network before pruning in Tocks and fine-tuning, and scores gates by the plain loss', async () => {
    const config = { ...QUICK, filtersPerTick: 0.05, finetuneEpochs: 1, initialTock: false };
    const [plain, taught] = [await run({ config }), await run({ config: { ...config, teacherWeight: 0.9 } })];
    const losses = ({ points }: typeof plain, phase: string) => points.filter((p) => p.phase === phase).map((p) => p.loss);
    assert.deepEqual(losses(taught, 'tick'), losses(plain, 'tick'));
    assert.deepEqual(taught.outcome.kept, plain.outcome.kept);
    assert.notDeepEqual(losses(taught, 'finetune'), losses(plain, 'finetune'));
    const teacher = createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'conv', seed: 9 });
    const other = await run({ config: { ...config, teacherWeight: 0.9 }, teacher });
    assert.notDeepEqual(losses(other, 'finetune'), losses(taught, 'finetune'));
  });

  it('goes on bit for bit from every state it saved', async () => {
    const config = { ...QUICK, filtersPerTick: 0.03, ticksPerTock: 2, initialTock: true, finetuneEpochs: 1, finalEpochs: 1 };
    const states: TickTockState[] = [];
    const whole = await run({ config, save: (state) => states.push(state) });
    const phases = new Set(states.map((s) => s.phase));
    assert.deepEqual([...phases], ['tock', 'tick', 'finetune', 'final', 'done']);
    for (const state of states.filter((_, i) => i % 4 === 1)) {
      const again = await run({ config, resume: () => state });
      for (const [name, tensor] of whole.outcome.network.initializers) {
        const other = again.outcome.network.initializers.get(name);
        assert.ok(other && Buffer.compare(bytesOf(other), bytesOf(tensor)) === 0, `${name} differs after ${state.phase} ${state.ticks}`);
      }
      assert.deepEqual(again.outcome.history.map(untimed), whole.outcome.history.map(untimed));
    }
  });

  it('refuses a budget that the layers’ minimum does not allow before it trains', async () => {
    let steps = 0;
    await assert.rejects(
      run({ budget: { flops: 0.001 }, onProgress: () => (steps += 1) }),
      (error) => error instanceof SurgeryError && error.code === 'budget-impossible' && /0\.\d %/.test(error.message),
    );
    assert.equal(steps, 0);
  });

  it('keeps the network of the last Tick when it is stopped', async () => {
    const stop = new AbortController();
    const { outcome, points } = await run({
      config: { ...QUICK, filtersPerTick: 0.02 },
      budget: { flops: 0.3 },
      stop: stop.signal,
      onPoint: (point) => {
        if (point.ticks === 2) setImmediate(() => stop.abort());
        return point;
      },
    });
    assert.ok(outcome.stopped && outcome.history.length >= 2 && points.length < 6);
    assert.equal(
      findChannelGroups(outcome.network).groups.reduce((n, g) => n + g.channels.length * g.layers.length, 0),
      outcome.history.at(-1)?.filters,
    );
  });
});

const untimed = ({ phase, ticks, macs, loss, accuracy, filters }: TickTockPoint) => ({ phase, ticks, macs, loss, accuracy, filters });

describe('the checkpoint of Tick-Tock', () => {
  it('gives back every state of a network whose layers belong to several groups', async () => {
    const network = createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'pad', seed: 1 });
    const states: TickTockState[] = [];
    const config = { ...QUICK, filtersPerTick: 0.1, ticksPerTock: 2, finetuneEpochs: 1 };
    await run({ network, config, budget: { flops: 0.7 }, save: (state) => states.push(state) });
    assert.ok(states.some((s) => s.phase === 'finetune') && states.some((s) => s.phase === 'tick'));
    const start = insertGates(findChannelGroups(network));
    for (const state of states) {
      const again = unpackState(packState(state, 'key'), 'key', start, 'run.npz');
      assert.deepEqual([...again.network.initializers].sort(), [...state.network.initializers].sort());
      assert.deepEqual({ ...again, network: undefined, trainer: undefined }, { ...state, network: undefined, trainer: undefined });
      assert.deepEqual(again.trainer?.step, state.trainer?.step);
    }
    const [first] = states;
    assert.ok(first);
    assert.throws(() => unpackState(packState(first, 'key'), 'other', start, 'run.npz'), /run\.npz belongs to a run with another/);
  });
});

describe('the configuration of Tick-Tock', () => {
  it('documents its own defaults and names what is wrong', () => {
    assert.deepEqual(parseTickTockConfig(describeTickTockConfig(), 'c.json'), TICK_TOCK_DEFAULTS);
    assert.throws(() => parseTickTockConfig('{"ticks": 3}', 'c.json'), /c\.json: there is no setting ticks/);
    assert.throws(() => parseTickTockConfig('{"batch": 2.5}', 'c.json'), /batch must be a whole number/);
    assert.throws(() => parseTickTockConfig('[1]', 'c.json'), /one object/);
  });
});

import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { SurgeryError } from '../../../engine/graph/errors';
import type { Graph } from '../../../engine/graph/graph';
import { type PrunableNetwork, findChannelGroups } from '../../../engine/pruning/channelGroups';
import { insertGates } from '../../../engine/pruning/gates';
import { weightScores } from '../../../engine/pruning/importance';
import { type Budget, channelCosts, scoresPerCost, selectToBudget, selectToLatency } from '../../../engine/pruning/ranking';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { sliceNetwork } from '../../../engine/pruning/slice';
import { TickCutter } from '../../../engine/pruning/tickCut';
import { TickTockBudget } from '../../../engine/pruning/tickTockBudget';

const CONFIG = { filtersPerTick: 0.05, flopsPenalty: 0, perCost: false, minimumKept: 0.1, maximumKept: 1 };

const start = findChannelGroups(createModel('resnet8', { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 }));
const gated = insertGates(start);

/** A clock that counts MACs: a millisecond for a million. */
const clock = (graph: Graph): Promise<number> => Promise.resolve(new SelectionCost(findChannelGroups(graph)).of().macs / 1e6);

/** Every gate matters about as much; the first channels of a layer a little less. */
function saliency(): Map<string, Float64Array> {
  const names = [...gated.gates.values()].flat().map((gate) => gate.name);
  return new Map(
    names.map((name) => [
      name,
      Float64Array.from({ length: gated.graph.initializers.get(name)?.data.length ?? 0 }, (_, i) => 1 + 0.001 * i),
    ]),
  );
}

async function cut(change: Partial<typeof CONFIG>, budget: Budget & { latency?: number } = { flops: 0.5 }, roundTo = 1) {
  const limits = new TickTockBudget(start, budget, clock);
  const cutter = new TickCutter(start, gated.gates, limits, { config: { ...CONFIG, ...change }, roundTo });
  return cutter.cut(gated.graph, saliency(), new Map());
}

const layersCut = (network: PrunableNetwork, kept: ReadonlyMap<string, readonly number[]>): string[] =>
  network.groups.filter((g) => (kept.get(g.id)?.length ?? g.channels.length) < g.channels.length).map((g) => g.id);

describe('the cut of a Tick', () => {
  it('takes filters of single layers before those of groups when every gate matters alike', async () => {
    const { network, kept } = await cut({});
    const single = network.groups.filter((g) => g.layers.length === 1).map((g) => g.id);
    assert.deepEqual(layersCut(network, kept), single);
  });

  it('takes filters of large and wide layers first with a FLOPs penalty: eta / min(area) x area x channels', async () => {
    const { network, kept } = await cut({ flopsPenalty: 1 });
    // Areas 1024, 256 and 64 with 16, 32 and 64 channels: penalties 256, 128 and 64 for every gate, two of them on the stem's group.
    assert.deepEqual(layersCut(network, kept), ['conv1']);
    assert.equal(network.groups[0]?.layers.length, 2);
    const weak = await cut({ flopsPenalty: 1e-6 });
    assert.deepEqual(layersCut(weak.network, weak.kept), layersCut(network, (await cut({})).kept));
  });

  it('ranks by importance per MAC, or per parameter where the budget counts those', async () => {
    const first = async (budget: Budget): Promise<string | undefined> => {
      const { network, kept } = await cut({ perCost: true, filtersPerTick: 0 }, budget);
      return layersCut(network, kept)[0];
    };
    const cost = new SelectionCost(start);
    const dearest = (key: 'macs' | 'parameters'): string | undefined =>
      [...start.groups].sort((a, b) => cost.perChannel(b)[key] / b.layers.length - cost.perChannel(a)[key] / a.layers.length)[0]?.id;
    assert.equal(await first({ flops: 0.5 }), dearest('macs'));
    assert.equal(await first({ params: 0.5 }), dearest('parameters'));
    assert.notEqual(dearest('macs'), dearest('parameters'));
  });

  it('removes no more than a budget of MACs asks for, and rounds only the last cut', async () => {
    const whole = new SelectionCost(start).of().macs;
    const least = async (flops: number): Promise<number> =>
      new SelectionCost(start).of((await cut({ filtersPerTick: 0.5 }, { flops })).kept).macs / whole;
    const left = await least(0.97);
    assert.ok(left <= 0.97 && left > 0.94, String(left));
    const counts = (kept: ReadonlyMap<string, readonly number[]>): number[] => [...kept.values()].map((k) => k.length);
    assert.ok(counts((await cut({ filtersPerTick: 0.2 }, { flops: 0.2 }, 8)).kept).some((n) => n % 8 > 0));
    assert.ok(counts((await cut({ filtersPerTick: 0.2 }, { flops: 0.9 }, 8)).kept).every((n) => n % 8 === 0));
  });
});

describe('a budget of measured time', () => {
  const whole = new SelectionCost(start).of().macs / 1e6;

  it('rounds the cut that brings the network below it, and none before', async () => {
    const counts = async (latency: number): Promise<number[]> =>
      [...(await cut({ filtersPerTick: 0.1 }, { latency }, 8)).kept.values()].map((k) => k.length);
    assert.ok((await counts(0.2 * whole)).some((n) => n % 8 > 0));
    assert.ok((await counts(0.9 * whole)).every((n) => n % 8 === 0 || n < 8));
  });

  it('is refused when the smallest network takes longer, with that time', async () => {
    const impossible = new TickTockBudget(start, { latency: 0.001 * whole }, clock);
    await assert.rejects(
      impossible.requireReachable(0.1),
      (error) => error instanceof SurgeryError && error.code === 'budget-impossible' && /takes \d+\.\d+ ms/.test(error.message),
    );
    await new TickTockBudget(start, { latency: 0.5 * whole }, clock).requireReachable(0.1);
  });

  it('of one cut is met with the fewest removals', async () => {
    const scores = weightScores(start, 'l1');
    const timeOf = (selection: ReadonlyMap<string, readonly number[]>): Promise<number> => clock(sliceNetwork(start, selection));
    const selection = await selectToLatency(start, scores, 0.6 * whole, timeOf);
    const time = await timeOf(selection);
    assert.ok(time <= 0.6 * whole && time > 0.55 * whole, `${time} of ${whole}`);
    await assert.rejects(selectToLatency(start, scores, 0.001 * whole, timeOf), /budget of .* ms cannot be met/);
  });
});

describe('one cut by score per cost', () => {
  it('takes the dearest channels of equal score first, and leaves more of what the budget does not count', () => {
    const cost = new SelectionCost(start);
    const even = start.groups.map((g) => ({ group: g.id, scores: g.channels.map(() => 1) }));
    const left = (budget: Budget): { macs: number; parameters: number } =>
      cost.of(selectToBudget(start, scoresPerCost(even, channelCosts(start, cost, budget)), budget, cost));
    const [byMacs, byParameters] = [left({ flops: 0.5 }), left({ params: 0.5 })];
    const whole = cost.of();
    assert.ok(byMacs.parameters > 0.6 * whole.parameters, `${byMacs.parameters} parameters`);
    assert.ok(byParameters.macs > 0.6 * whole.macs, `${byParameters.macs} MACs`);
  });
});

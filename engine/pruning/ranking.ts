import { SurgeryError } from '../graph/errors';
import type { Totals } from '../ops/cost';
import type { PrunableNetwork } from './channelGroups';
import type { GroupScores } from './importance';
import type { Selection } from './selection';
import type { SelectionCost } from './selectionCost';

export interface Budget {
  /** Fraction of the MACs kept. */
  readonly flops?: number;
  /** Fraction of the parameters kept. */
  readonly params?: number;
  /** Number of filters kept. */
  readonly filters?: number;
}

export interface RankingOptions {
  /** Each group keeps at least this fraction of its channels, and one (Gate Decorator keeps 10 %). */
  readonly floor?: number;
  /** Each group keeps at most this fraction of its channels. */
  readonly maximum?: number;
  /** Channel counts are rounded up to multiples of this. */
  readonly roundTo?: number;
  /** Groups that lose nothing. */
  readonly locked?: ReadonlySet<string>;
}

export interface Ranked {
  readonly group: string;
  readonly channel: number;
  readonly score: number;
}

/**
 * Ranks all channels of all groups together and removes the least important until the budget holds: the fewest removals in that
 * order, found by bisection, as cost falls with every one.
 */
export function selectToBudget(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  budget: Budget,
  cost: SelectionCost,
  options: RankingOptions = {},
): Selection {
  const { order, forced } = removalOrder(network, scores, options);
  const after = (count: number): Selection => selectionAfter(network, order.slice(0, count), options);
  const fits = (count: number): boolean => fitsBudget(network, after(count), budget, cost);
  if (!fits(order.length)) throw impossible(order.length, cost.of(after(order.length)), cost.of());
  let [low, high] = [forced, order.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(middle)) high = middle;
    else low = middle + 1;
  }
  return after(low);
}

/**
 * The same for a time that is measured: `latencyOf` gives the median milliseconds of a selection. The smallest network is
 * measured first, so a budget that cannot be met is refused at once.
 */
export async function selectToLatency(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  limit: number,
  latencyOf: (selection: Selection) => Promise<number>,
  options: RankingOptions = {},
): Promise<Selection> {
  const { order, forced } = removalOrder(network, scores, options);
  const after = (count: number): Selection => selectionAfter(network, order.slice(0, count), options);
  const least = await latencyOf(after(order.length));
  if (least > limit)
    throw new SurgeryError(
      'budget-impossible',
      `The budget of ${limit} ms cannot be met: with ${order.length} of the channels gone one sample still takes ${least.toFixed(3)} ms here`,
      { latencyMs: least },
    );
  let [low, high] = [forced, order.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await latencyOf(after(middle))) <= limit) high = middle;
    else low = middle + 1;
  }
  return after(low);
}

function impossible(removed: number, least: Totals, whole: Totals): SurgeryError {
  const percent = (key: 'macs' | 'parameters'): string => `${((100 * least[key]) / whole[key]).toFixed(1)} %`;
  return new SurgeryError(
    'budget-impossible',
    `The budget cannot be met: with ${removed} of the channels gone ${percent('macs')} of the MACs and ${percent('parameters')} of the parameters are left`,
    { macs: least.macs / whole.macs, parameters: least.parameters / whole.parameters },
  );
}

/**
 * Channels that may go, the least important first; the best of each group, up to the floor, are not among them. Those beyond a
 * group's maximum come first and go in any case.
 */
export function removalOrder(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  { floor = 0.1, maximum = 1, locked = new Set() }: RankingOptions,
): { order: Ranked[]; forced: number } {
  if (floor > maximum) throw new SurgeryError('option-invalid', `A layer cannot keep at least ${floor} and at most ${maximum}`);
  const [forced, free]: [Ranked[], Ranked[]] = [[], []];
  for (const { group, scores: values } of scores) {
    if (locked.has(group) || !network.groups.some((g) => g.id === group)) continue;
    const ranked = values.map((score, channel): Ranked => ({ group, channel, score })).sort(byScore);
    const last = ranked.length - Math.max(1, Math.floor(floor * ranked.length));
    const first = Math.min(last, ranked.length - Math.max(1, Math.floor(maximum * ranked.length)));
    forced.push(...ranked.slice(0, first));
    free.push(...ranked.slice(first, last));
  }
  return { order: [...forced, ...free.sort(byScore)], forced: forced.length };
}

const byScore = (a: Ranked, b: Ranked): number => a.score - b.score || a.channel - b.channel;

export function selectionAfter(network: PrunableNetwork, removed: readonly Ranked[], { roundTo = 1 }: RankingOptions): Selection {
  const gone = new Map<string, number[]>();
  for (const { group, channel } of removed) gone.set(group, [...(gone.get(group) ?? []), channel]);
  const selection = new Map<string, number[]>();
  for (const { id, channels } of network.groups) {
    const list = gone.get(id);
    if (!list) continue;
    const wanted = Math.min(channels.length, Math.ceil((channels.length - list.length) / roundTo) * roundTo);
    const drop = new Set(list.slice(0, channels.length - wanted));
    if (drop.size > 0)
      selection.set(
        id,
        channels.map((_, c) => c).filter((c) => !drop.has(c)),
      );
  }
  return selection;
}

/** What one channel of each group costs of what a budget counts: MACs, unless it states nothing but parameters or filters. */
export function channelCosts(network: PrunableNetwork, cost: SelectionCost, budget: Budget & { latency?: number }): Map<string, number> {
  const { flops, params, filters, latency } = budget;
  const countsMacs = flops !== undefined || latency !== undefined || (params === undefined && filters === undefined);
  return new Map(
    network.groups.map((group) => {
      const { macs, parameters } = cost.perChannel(group);
      return [group.id, countsMacs ? macs : params === undefined ? 1 : parameters];
    }),
  );
}

/** Scores over what a channel costs, for a ranking that gets the most importance for its budget. Channels that cost nothing keep theirs. */
export const scoresPerCost = (scores: readonly GroupScores[], costs: ReadonlyMap<string, number>): GroupScores[] =>
  scores.map((group) => ({ ...group, scores: group.scores.map((score) => score / (costs.get(group.group) || 1)) }));

/** Whether what a selection leaves is within every limit that is stated. */
export function fitsBudget(network: PrunableNetwork, selection: Selection, budget: Budget, cost: SelectionCost): boolean {
  const [whole, left] = [cost.of(), cost.of(selection)];
  const filters = network.groups.reduce((n, g) => n + (selection.get(g.id)?.length ?? g.channels.length), 0);
  return (
    (budget.flops === undefined || left.macs <= budget.flops * whole.macs) &&
    (budget.params === undefined || left.parameters <= budget.params * whole.parameters) &&
    (budget.filters === undefined || filters <= budget.filters)
  );
}

import { SurgeryError } from '../graph/errors';
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
  /** Channel counts are rounded up to multiples of this. */
  readonly roundTo?: number;
  /** Groups that lose nothing. */
  readonly locked?: ReadonlySet<string>;
}

interface Ranked {
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
  const order = removalOrder(network, scores, options);
  const fits = (count: number): boolean => meets(network, selectionAfter(network, order.slice(0, count), options), budget, cost);
  if (!fits(order.length)) {
    const least = cost.of(selectionAfter(network, order, options));
    const whole = cost.of();
    throw new SurgeryError(
      'budget-impossible',
      `The budget cannot be met: with ${order.length} of the channels gone ${(100 * least.macs) / whole.macs}% of the MACs and ${(100 * least.parameters) / whole.parameters}% of the parameters are left`.replace(
        /(\d+\.\d)\d*%/g,
        '$1 %',
      ),
      { macs: least.macs / whole.macs, parameters: least.parameters / whole.parameters },
    );
  }
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(middle)) high = middle;
    else low = middle + 1;
  }
  return selectionAfter(network, order.slice(0, low), options);
}

/** Channels that may go, the least important first; the best of each group, up to the floor, are not among them. */
function removalOrder(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  { floor = 0.1, locked = new Set() }: RankingOptions,
): Ranked[] {
  return scores
    .filter(({ group }) => !locked.has(group) && network.groups.some((g) => g.id === group))
    .flatMap(({ group, scores: values }) => {
      const ranked = values.map((score, channel): Ranked => ({ group, channel, score })).sort(byScore);
      return ranked.slice(0, ranked.length - Math.max(1, Math.floor(floor * ranked.length)));
    })
    .sort(byScore);
}

const byScore = (a: Ranked, b: Ranked): number => a.score - b.score || a.channel - b.channel;

function selectionAfter(network: PrunableNetwork, removed: readonly Ranked[], { roundTo = 1 }: RankingOptions): Selection {
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

function meets(network: PrunableNetwork, selection: Selection, budget: Budget, cost: SelectionCost): boolean {
  const [whole, left] = [cost.of(), cost.of(selection)];
  const filters = network.groups.reduce((n, g) => n + (selection.get(g.id)?.length ?? g.channels.length), 0);
  return (
    (budget.flops === undefined || left.macs <= budget.flops * whole.macs) &&
    (budget.params === undefined || left.parameters <= budget.params * whole.parameters) &&
    (budget.filters === undefined || filters <= budget.filters)
  );
}

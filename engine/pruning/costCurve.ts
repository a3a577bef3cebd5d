import type { CostCurve } from '../contract/pruning';
import type { PrunableNetwork } from './channelGroups';
import type { GroupScores } from './importance';
import { type RankingOptions, removalOrder, selectionAfter } from './ranking';
import { SelectionCost } from './selectionCost';

/** Exact totals at `points` even steps along the order in which channels go, from none to all that may. */
export function costCurve(network: PrunableNetwork, scores: readonly GroupScores[], options: RankingOptions, points: number): CostCurve {
  const { order } = removalOrder(network, scores, options);
  const cost = new SelectionCost(network);
  const steps = Math.min(points, order.length);
  const removed = Array.from({ length: steps + 1 }, (_, i) => (steps === 0 ? 0 : Math.round((i * order.length) / steps)));
  const totals = removed.map((count) => cost.of(selectionAfter(network, order.slice(0, count), options)));
  return { removed, macs: totals.map((t) => t.macs), parameters: totals.map((t) => t.parameters) };
}

import type { ImportanceReport, ModelSummary, Totals } from '../../engine/contract/models';
import type { KeptChannels } from '../../engine/contract/page';

/** One filter (or residual set of filters) in the global order. */
export interface RankedFilter {
  readonly group: string;
  readonly channel: number;
  readonly score: number;
  readonly lossChange: number;
  /** Among the best of its group, which always stay. */
  readonly kept: boolean;
}

/** Every group keeps at least this part of its filters, and one (Gate Decorator's rule). */
const FLOOR = 0.1;

/** All filters, the least important first. */
export function rankFilters(report: ImportanceReport): RankedFilter[] {
  return report.groups
    .flatMap(({ id, scores, lossChange }) => {
      const ranked = scores
        .map((score, channel) => ({ group: id, channel, score, lossChange: lossChange?.[channel] ?? 0 }))
        .sort((a, b) => a.score - b.score);
      const safe = ranked.length - Math.max(1, Math.floor(FLOOR * ranked.length));
      return ranked.map((filter, place) => ({ ...filter, kept: place >= safe }));
    })
    .sort((a, b) => a.score - b.score || a.channel - b.channel);
}

export interface Cut {
  readonly removed: ReadonlyMap<string, ReadonlySet<number>>;
  readonly count: number;
  readonly lossChange: number;
}

/** What goes when the threshold stands after `rank` filters of the order. */
export function cutAt(ranked: readonly RankedFilter[], rank: number): Cut {
  const removed = new Map<string, Set<number>>();
  let [count, lossChange] = [0, 0];
  for (const filter of ranked.slice(0, rank)) {
    if (filter.kept) continue;
    const channels = removed.get(filter.group) ?? new Set();
    removed.set(filter.group, channels.add(filter.channel));
    count++;
    lossChange += filter.lossChange;
  }
  return { removed, count, lossChange };
}

/** First estimate while the engine computes the exact totals: what goes with each filter while everything else stays, so it overstates. */
export function estimateTotals(summary: ModelSummary, cut: Cut): Totals {
  let { macs, parameters } = summary.totals;
  for (const group of summary.groups) {
    const gone = cut.removed.get(group.id)?.size ?? 0;
    macs -= gone * group.macsPerChannel;
    parameters -= gone * group.parametersPerChannel;
  }
  return { ...summary.totals, macs: Math.max(0, macs), parameters: Math.max(0, parameters) };
}

export function keptChannels(report: ImportanceReport, cut: Cut): KeptChannels {
  return report.groups.flatMap(({ id, scores }) => {
    const gone = cut.removed.get(id);
    return gone ? [{ group: id, keep: scores.map((_, c) => c).filter((c) => !gone.has(c)) }] : [];
  });
}

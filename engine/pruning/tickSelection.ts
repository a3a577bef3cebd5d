import type { PrunableNetwork } from './channelGroups';
import type { Selection } from './selection';

/** What a Tick knows of a group: its channels' scores, and how many layers have each channel as a filter. */
export interface ScoredGroup {
  readonly id: string;
  readonly scores: readonly number[];
  /** Layers of each channel; one channel counts as this many filters. */
  readonly filters: readonly number[];
  /** Channels that stay whatever their score. */
  readonly minimal: number;
  readonly locked?: boolean;
}

export interface Removal {
  readonly group: string;
  readonly channel: number;
  readonly score: number;
}

/** Filters that are left, a channel of a group counting once for each of its layers. */
export const countFilters = (groups: readonly Pick<ScoredGroup, 'filters'>[]): number =>
  groups.reduce((n, g) => n + g.filters.reduce((a, b) => a + b, 0), 0);

/** Fewest channels of a layer that stay: max(1, int(fraction * C)) (papers.md 3.1). */
export const minimalChannels = (channels: number, fraction: number): number => Math.max(1, Math.floor(fraction * channels));

/**
 * Channels that one Tick removes, the least important first. Of all scores without each group's `minimal` largest, every one
 * repeated for each layer of its channel, the one at place int(filters left * fraction) is the threshold, and all up to it go:
 * one filter more than that number, and more with ties and groups (papers.md 3.1, the authors' get_threshold).
 */
export function tickRemovals(groups: readonly ScoredGroup[], fraction: number): Removal[] {
  const candidates = groups.flatMap((group) => {
    if (group.locked) return [];
    const floor = [...group.scores].sort((a, b) => b - a)[group.minimal - 1] ?? -Infinity;
    return group.scores.flatMap((score, channel) =>
      score >= floor ? [] : [{ group: group.id, channel, score, filters: group.filters[channel] ?? 1 }],
    );
  });
  candidates.sort((a, b) => a.score - b.score);
  const place = Math.floor(countFilters(groups) * fraction);
  let passed = 0;
  const last = candidates.find(({ filters }) => (passed += filters) > place);
  return candidates.filter(({ score }) => score <= (last?.score ?? Infinity));
}

/** What must go besides `removed`, the least important first, so that no group keeps more than its target. */
export function roundingRemovals(
  groups: readonly ScoredGroup[],
  removed: readonly Removal[],
  targets: ReadonlyMap<string, number>,
): Removal[] {
  return groups.flatMap(({ id, scores }) => {
    const gone = new Set(removed.filter((r) => r.group === id).map((r) => r.channel));
    const left = scores.map((score, channel): Removal => ({ group: id, channel, score })).filter((r) => !gone.has(r.channel));
    return left.sort((a, b) => a.score - b.score).slice(0, Math.max(0, left.length - (targets.get(id) ?? left.length)));
  });
}

/** The channels that stay when the ones given go. */
export function selectionWithout(network: PrunableNetwork, removed: readonly { group: string; channel: number }[]): Selection {
  const gone = new Map<string, Set<number>>();
  for (const { group, channel } of removed) gone.set(group, (gone.get(group) ?? new Set()).add(channel));
  return new Map(
    network.groups.flatMap(({ id, channels }) => {
      const out = gone.get(id);
      return out ? [[id, channels.map((_, c) => c).filter((c) => !out.has(c))] as const] : [];
    }),
  );
}

import { bisectLeft, bisectRight, scaleLinear } from 'd3';
import type { ImportanceReport, ModelSummary } from '../../engine/contract/models';
import type { KeptChannels } from '../../engine/contract/page';
import type { CostCurve } from '../../engine/contract/pruning';

/** Every group keeps at least this part of its filters, and one (Gate Decorator's rule). */
const FLOOR = 0.1;

export interface Estimate {
  readonly macs: number;
  readonly parameters: number;
}

/**
 * A threshold in the global order of all filters, the least important first. Moving it costs as much as the filters that it passes:
 * counts change one by one, sums are looked up.
 */
export class Threshold {
  /** Filters in the order; those that always stay are counted too. */
  readonly length: number;
  readonly scores: Float64Array;
  private readonly groups: Int32Array;
  private readonly stays: Uint8Array;
  /** Filters cut and change of the loss when the threshold stands at a place. */
  private readonly removedAt: Int32Array;
  private readonly lossAt: Float64Array;
  /** Channels of every group, the least important first. */
  readonly channels: readonly Int32Array[];
  private readonly counts: Int32Array;
  private place = 0;

  /** @param locked groups that lose nothing */
  constructor(
    readonly report: ImportanceReport,
    locked: ReadonlySet<string>,
  ) {
    const filters = report.groups.flatMap(({ id, scores, lossChange }, group) => {
      const own = scores.map((score, channel) => ({ group, channel, score, loss: lossChange?.[channel] ?? 0, stays: false }));
      own.sort(byScore);
      const safe = locked.has(id) ? 0 : own.length - Math.max(1, Math.floor(FLOOR * own.length));
      own.forEach((filter, i) => (filter.stays = i >= safe));
      return own;
    });
    const channels: number[][] = report.groups.map(() => []);
    for (const { group, channel } of filters) channels[group]?.push(channel);
    this.channels = channels.map((list) => Int32Array.from(list));
    filters.sort(byScore);
    this.length = filters.length;
    this.scores = Float64Array.from(filters, (f) => f.score);
    this.groups = Int32Array.from(filters, (f) => f.group);
    this.stays = Uint8Array.from(filters, (f) => Number(f.stays));
    this.removedAt = new Int32Array(this.length + 1);
    this.lossAt = new Float64Array(this.length + 1);
    filters.forEach(({ stays, loss }, i) => {
      this.removedAt[i + 1] = (this.removedAt[i] ?? 0) + Number(!stays);
      this.lossAt[i + 1] = (this.lossAt[i] ?? 0) + (stays ? 0 : loss);
    });
    this.counts = new Int32Array(report.groups.length);
  }

  get rank(): number {
    return this.place;
  }

  /** Filters cut. */
  get removed(): number {
    return this.removedAt[this.place] ?? 0;
  }

  /** Filters that can be cut at most. */
  get most(): number {
    return this.removedAt[this.length] ?? 0;
  }

  /** First-order change of the loss. */
  get lossChange(): number {
    return this.lossAt[this.place] ?? 0;
  }

  /** Filters of a group that are cut: the first so many of its `channels`. */
  cutOf(group: number): number {
    return this.counts[group] ?? 0;
  }

  /** Moves the threshold; answers with the groups that changed. */
  moveTo(rank: number): Set<number> {
    const next = Math.max(0, Math.min(this.length, Math.round(rank)));
    const changed = new Set<number>();
    const step = next > this.place ? 1 : -1;
    for (let i = Math.min(this.place, next); i < Math.max(this.place, next); i++) {
      if (this.stays[i]) continue;
      const group = this.groups[i] ?? 0;
      this.counts[group] = (this.counts[group] ?? 0) + step;
      changed.add(group);
    }
    this.place = next;
    return changed;
  }

  /** The lowest place at which so many filters are cut. */
  rankOf(removed: number): number {
    return bisectLeft(this.removedAt, removed);
  }

  kept(): KeptChannels {
    return this.report.groups.flatMap(({ id }, group) => {
      const count = this.cutOf(group);
      return count > 0 ? [{ group: id, keep: [...(this.channels[group] ?? [])].slice(count).sort((a, b) => a - b) }] : [];
    });
  }

  /** Totals between the places where they are known exactly; without those, what goes with each filter while all else stays. */
  estimate(summary: ModelSummary, curve: CostCurve | undefined): Estimate {
    if (curve && curve.removed.length > 1) {
      const at = Math.max(1, Math.min(curve.removed.length - 1, bisectRight(curve.removed as number[], this.removed)));
      const between = (values: readonly number[]): number =>
        scaleLinear([curve.removed[at - 1] ?? 0, curve.removed[at] ?? 1], [values[at - 1] ?? 0, values[at] ?? 0])(this.removed);
      return { macs: between(curve.macs), parameters: between(curve.parameters) };
    }
    let { macs, parameters } = summary.totals;
    const byId = new Map(summary.groups.map((g) => [g.id, g]));
    this.report.groups.forEach(({ id }, group) => {
      macs -= this.cutOf(group) * (byId.get(id)?.macsPerChannel ?? 0);
      parameters -= this.cutOf(group) * (byId.get(id)?.parametersPerChannel ?? 0);
    });
    return { macs: Math.max(0, macs), parameters: Math.max(0, parameters) };
  }
}

const byScore = (a: { score: number; channel: number }, b: { score: number; channel: number }): number =>
  a.score - b.score || a.channel - b.channel;

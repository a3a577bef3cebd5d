import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { type PrunableNetwork, findChannelGroups } from './channelGroups';
import { foldOverGates, gateAreas, gatedChannels } from './gateScores';
import { type Gate, mergeGates } from './gates';
import { type Selection, composeSelections } from './selection';
import { sliceNetwork } from './slice';
import {
  type Removal,
  type ScoredGroup,
  countFilters,
  minimalChannels,
  roundingRemovals,
  selectionWithout,
  tickRemovals,
} from './tickSelection';
import type { TickTockBudget } from './tickTockBudget';
import type { TickTockConfig } from './tickTockConfig';

export interface CutLimits {
  readonly config: Pick<TickTockConfig, 'filtersPerTick' | 'flopsPenalty' | 'perCost' | 'minimumKept' | 'maximumKept'>;
  readonly locked?: ReadonlySet<string>;
  readonly roundTo?: number;
}

/** What a Tick removes: the network before, what stays of it, and the same in channels of the network at the start. */
export interface Cut {
  readonly network: PrunableNetwork;
  readonly selection: Selection;
  readonly kept: Selection;
}

/** Chooses what a Tick removes from how much every gate mattered. */
export class TickCutter {
  /** Channels of every group at the start. */
  private readonly original: ReadonlyMap<string, number>;

  constructor(
    start: PrunableNetwork,
    private readonly gates: ReadonlyMap<string, readonly Gate[]>,
    private readonly budget: TickTockBudget,
    private readonly limits: CutLimits,
  ) {
    this.original = new Map(start.groups.map((g) => [g.id, g.channels.length]));
  }

  /**
   * The least important filters of a gated network. The last cut removes no more than the budget asks for, and rounds.
   *
   * @param saliency sums of |dL/dphi * phi| by gate
   * @param kept channels of the network at the start that are left
   */
  async cut(gated: Graph, saliency: ReadonlyMap<string, Float64Array>, kept: Selection): Promise<Cut> {
    const network = findChannelGroups(gated);
    const groups = this.score(network, saliency);
    const without = (removed: readonly Removal[]): Cut => {
      const selection = selectionWithout(network, removed);
      return { network, selection, kept: composeSelections(network.groups, kept, selection) };
    };
    const wanted = tickRemovals(groups, this.limits.config.filtersPerTick);
    if (wanted.length === 0) throw new SurgeryError('budget-impossible', 'Every layer is at its minimum and the budget is not met');
    const removed = this.budget.isMeasured ? wanted : fewestThatFit(wanted, (some) => this.budget.fits(without(some).kept));
    const [plain, rounded] = [without(removed), without([...removed, ...roundingRemovals(groups, removed, this.targets(groups, removed))])];
    return (await this.isLast(plain, rounded)) ? rounded : plain;
  }

  /** A time is measured on the network that would come out. */
  private isLast(plain: Cut, rounded: Cut): boolean | Promise<boolean> {
    if (!this.budget.isMeasured) return this.budget.fits(plain.kept);
    const merged = (): Graph => mergeGates(sliceNetwork(rounded.network, rounded.selection), [...this.gates.values()].flat());
    return this.budget.meets(rounded.kept, merged);
  }

  /** Filters of a gated network, a channel counting once for each gate that it has. */
  filtersOf(network: PrunableNetwork): number {
    return countFilters(network.groups.map((g) => ({ filters: gatedChannels(g, this.gates.get(g.id)).map((c) => c.length) })));
  }

  private score(network: PrunableNetwork, saliency: ReadonlyMap<string, Float64Array>): ScoredGroup[] {
    const { config, locked } = this.limits;
    const penalty = this.flopsPenalty(network);
    const costs = config.perCost ? this.budget.channelCosts(network) : undefined;
    return network.groups.map((group) => {
      const channels = gatedChannels(group, this.gates.get(group.id));
      const isGated = channels.some((c) => c.length > 0);
      return {
        id: group.id,
        scores: foldOverGates(channels, (gate, i) => (saliency.get(gate)?.[i] ?? 0) - penalty(gate)).map(
          (s) => s / (costs?.get(group.id) || 1),
        ),
        filters: channels.map((c) => c.length),
        minimal: minimalChannels(this.original.get(group.id) ?? group.channels.length, config.minimumKept),
        locked: !isGated || locked?.has(group.id),
      };
    });
  }

  /** eta / min(area) * area * channels left in the layer (papers.md 3.1, FLOPs-aware variant). */
  private flopsPenalty(network: PrunableNetwork): (gate: string) => number {
    const { flopsPenalty } = this.limits.config;
    if (flopsPenalty === 0) return () => 0;
    const areas = gateAreas(network, this.gates);
    const smallest = Math.min(...areas.values());
    return (gate) => (flopsPenalty / smallest) * (areas.get(gate) ?? 0) * (network.graph.initializers.get(gate)?.data.length ?? 0);
  }

  /** Channels that each group may keep in the end: a multiple of `roundTo`, at most its maximum. */
  private targets(groups: readonly ScoredGroup[], removed: readonly Removal[]): Map<string, number> {
    const { config, roundTo = 1 } = this.limits;
    return new Map(
      groups.map(({ id, scores, locked }) => {
        const left = scores.length - removed.filter((r) => r.group === id).length;
        const most = Math.max(1, Math.floor(config.maximumKept * (this.original.get(id) ?? left)));
        const wanted = Math.min(left, most);
        return [id, locked ? left : wanted < roundTo ? wanted : wanted - (wanted % roundTo)];
      }),
    );
  }
}

/** The shortest start of a list that fits, or all of it when nothing does. */
function fewestThatFit(wanted: readonly Removal[], fits: (some: readonly Removal[]) => boolean): readonly Removal[] {
  if (!fits(wanted)) return wanted;
  let [low, high] = [0, wanted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(wanted.slice(0, middle))) high = middle;
    else low = middle + 1;
  }
  return wanted.slice(0, low);
}

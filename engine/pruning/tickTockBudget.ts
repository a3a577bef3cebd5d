import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import type { Totals } from '../ops/cost';
import type { PrunableNetwork } from './channelGroups';
import { type Budget, channelCosts, fitsBudget } from './ranking';
import type { Selection } from './selection';
import { SelectionCost } from './selectionCost';
import { sliceNetwork } from './slice';
import { minimalChannels } from './tickSelection';

/** What a run may keep of the network at the start; selections are in channels of that network. */
export class TickTockBudget {
  private readonly cost: SelectionCost;
  private readonly whole: Totals;

  /** @param latencyOf median milliseconds of one sample; needed when the budget states a latency */
  constructor(
    private readonly network: PrunableNetwork,
    private readonly budget: Budget & { readonly latency?: number },
    private readonly latencyOf?: (network: Graph) => Promise<number>,
  ) {
    this.cost = new SelectionCost(network);
    this.whole = this.cost.of();
  }

  /** Time is measured, not predicted: no selection is known to be in time. */
  get isMeasured(): boolean {
    return this.budget.latency !== undefined;
  }

  costOf(kept: Selection): Totals {
    return this.cost.of(kept);
  }

  /** Milliseconds, when the budget has a limit for them. */
  async latency(network: () => Graph): Promise<number | undefined> {
    return this.isMeasured ? this.latencyOf?.(network()) : undefined;
  }

  /** Within the limits that follow from the selection alone. */
  fits(kept: Selection): boolean {
    return fitsBudget(this.network, kept, this.budget, this.cost);
  }

  /** Within all limits; `network` gives what the selection leaves. */
  async meets(kept: Selection, network: () => Graph): Promise<boolean> {
    if (!this.fits(kept)) return false;
    return ((await this.latency(network)) ?? 0) <= (this.budget.latency ?? 0);
  }

  /** Of one channel of each group, in a network on the way. */
  channelCosts(network: PrunableNetwork): Map<string, number> {
    return channelCosts(network, new SelectionCost(network), this.budget);
  }

  /** Fraction that is left of what the budget counts, and the fraction wanted. */
  goal(kept: Selection): readonly [number, number] {
    const { flops, params = 0.5 } = this.budget;
    const left = this.costOf(kept);
    return flops === undefined ? [left.parameters / this.whole.parameters, params] : [left.macs / this.whole.macs, flops];
  }

  /** Throws SurgeryError 'budget-impossible' when the smallest network that the layers' minimum allows is over the budget. */
  async requireReachable(minimumKept: number, locked: ReadonlySet<string> = new Set()): Promise<void> {
    const least = new Map(
      this.network.groups
        .filter((g) => !locked.has(g.id))
        .map(({ id, channels }) => [id, channels.slice(0, minimalChannels(channels.length, minimumKept)).map((_, i) => i)]),
    );
    const smallest = (): Graph => sliceNetwork(this.network, least);
    if (await this.meets(least, smallest)) return;
    const cost = this.costOf(least);
    const left = { macs: cost.macs / this.whole.macs, parameters: cost.parameters / this.whole.parameters };
    const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
    const latencyMs = await this.latency(smallest);
    throw new SurgeryError(
      'budget-impossible',
      `The budget cannot be met: with every layer at its minimum the network still has ${percent(left.macs)} of the MACs and ${percent(left.parameters)} of the parameters${latencyMs === undefined ? '' : ` and takes ${latencyMs.toFixed(3)} ms`}; ask for less or lower minimumKept`,
      left,
    );
  }
}

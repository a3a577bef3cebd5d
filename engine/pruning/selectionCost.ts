import { type Shape, evaluateDim } from '../graph/dims';
import { feedsOf } from '../graph/graph';
import { type ShapeOf, type Totals, costOf } from '../ops/cost';
import { inferShapes } from '../ops/inferShapes';
import { peakActivationBytes } from '../ops/peakActivation';
import type { ChannelGroup, PrunableNetwork } from './channelGroups';
import { type Selection, cutShape, cutsOf } from './selection';

/** Exact cost of any selection, from the shapes of the whole network: nothing is inferred anew. */
export class SelectionCost {
  private readonly shapes = new Map<string, readonly number[]>();

  constructor(private readonly network: PrunableNetwork) {
    const single = new Map<string, Shape>(
      feedsOf(network.graph).map((f) => [f.name, (f.shape ?? []).map((d) => evaluateDim(d, new Map(), 1) ?? 1)]),
    );
    for (const [name, { shape }] of inferShapes(network.graph, single).types)
      if (shape?.every((d) => typeof d === 'number')) this.shapes.set(name, shape);
  }

  /** Cost of one sample. */
  of(selection: Selection = new Map()): Totals {
    return costOf(this.network.graph, this.shapeOf(selection)).totals;
  }

  /** Most activation bytes alive at once for one sample. */
  peakActivationBytes(selection: Selection = new Map()): number {
    return peakActivationBytes(this.network.graph, this.shapeOf(selection));
  }

  private shapeOf(selection: Selection): ShapeOf {
    const cuts = cutsOf(this.network.groups, selection);
    return (value) => {
      const shape = this.shapes.get(value);
      return shape && cutShape(cuts, value, shape);
    };
  }

  /** What goes with one channel of a group while everything else stays. */
  perChannel(group: ChannelGroup): { macs: number; parameters: number } {
    if (group.channels.length < 2) return { macs: 0, parameters: 0 };
    const [whole, less] = [this.of(), this.of(new Map([[group.id, group.channels.slice(1).map((_, i) => i + 1)]]))];
    return { macs: whole.macs - less.macs, parameters: whole.parameters - less.parameters };
  }
}

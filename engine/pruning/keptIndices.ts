import type { PrunableNetwork } from './channelGroups';
import { type Selection, cutsOf, keptPositions } from './selection';

/** Positions of the original that are left, by initializer and axis; only what lost some is listed. */
export type KeptIndices = Map<string, Map<number, readonly number[]>>;

/** Composes cuts that follow each other, each on the network that the one before left. */
export function keptIndices(cuts: readonly { readonly network: PrunableNetwork; readonly selection: Selection }[]): KeptIndices {
  const result: KeptIndices = new Map();
  for (const { network, selection } of cuts) {
    const gone = cutsOf(network.groups, selection);
    for (const [name, axes] of gone) {
      const tensor = network.graph.initializers.get(name);
      if (!tensor) continue;
      const own = result.get(name) ?? new Map<number, readonly number[]>();
      result.set(name, own);
      for (const axis of axes.keys()) {
        const kept = keptPositions(gone, name, axis, tensor.dims[axis] ?? 0) ?? [];
        const before = own.get(axis);
        own.set(axis, before ? kept.map((i) => before[i] ?? i) : kept);
      }
    }
  }
  return result;
}

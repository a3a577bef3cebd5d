import { SurgeryError } from '../graph/errors';
import type { ChannelGroup } from './channelGroups';

/** Channels that are kept, by group id, in rising order. Groups that are not listed are kept whole. */
export type Selection = ReadonlyMap<string, readonly number[]>;

/** A selection of a network that an earlier selection left, in channels of the network before both. */
export const composeSelections = (groups: readonly ChannelGroup[], before: Selection, after: Selection): Selection =>
  new Map([
    ...before,
    ...groups.flatMap(({ id, channels }) => {
      const keep = after.get(id);
      const own = before.get(id) ?? channels.map((_, i) => i);
      return keep ? [[id, keep.map((i) => own[i] ?? i)] as const] : [];
    }),
  ]);

/** Positions that go, by value and axis ("value:axis"). */
export type Cuts = Map<string, Map<number, Set<number>>>;

/** Positions of every axis that the channels left out of the selection take with them. */
export function cutsOf(groups: readonly ChannelGroup[], selection: Selection): Cuts {
  const cuts: Cuts = new Map();
  for (const group of groups) {
    const kept = selection.get(group.id);
    if (!kept) continue;
    const keep = new Set(kept);
    if (kept.length === 0) throw new SurgeryError('option-invalid', `Group ${group.id} must keep at least one channel`);
    const outside = kept.find((c) => !(c in group.channels));
    if (outside !== undefined)
      throw new SurgeryError('option-invalid', `Group ${group.id} has ${group.channels.length} channels; ${outside} is not one of them`);
    group.channels.forEach((channel, i) => {
      if (!keep.has(i)) channel.members.forEach(({ value, axis, positions }) => addCut(cuts, value, axis, positions));
    });
  }
  return cuts;
}

function addCut(cuts: Cuts, value: string, axis: number, positions: readonly number[]): void {
  const axes = cuts.get(value) ?? new Map<number, Set<number>>();
  const gone = axes.get(axis) ?? new Set<number>();
  positions.forEach((p) => gone.add(p));
  axes.set(axis, gone);
  cuts.set(value, axes);
}

/** Positions that stay along an axis, or undefined when it is whole. */
export function keptPositions(cuts: Cuts, value: string, axis: number, size: number): number[] | undefined {
  const gone = cuts.get(value)?.get(axis);
  return gone && Array.from({ length: size }, (_, i) => i).filter((i) => !gone.has(i));
}

/** Shape of a value once the cuts are made. */
export function cutShape(cuts: Cuts, value: string, shape: readonly number[]): number[] {
  const axes = cuts.get(value);
  return shape.map((d, axis) => d - (axes?.get(axis)?.size ?? 0));
}

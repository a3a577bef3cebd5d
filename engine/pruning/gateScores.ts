import type { ChannelGroup, PrunableNetwork } from './channelGroups';
import type { Gate } from './gates';

/** Positions of gates by channel of a group, in a network that has gates. */
export type GatedChannel = readonly { readonly gate: string; readonly position: number }[];

/** Where the gates of every channel of a group are: one for each layer that the channel is a filter of. */
export function gatedChannels(group: ChannelGroup, gates: readonly Gate[] = []): GatedChannel[] {
  const names = new Set(gates.map((gate) => gate.name));
  return group.channels.map(({ members }) =>
    members.filter((m) => names.has(m.value)).flatMap((m) => m.positions.map((position) => ({ gate: m.value, position }))),
  );
}

/** Sums a quantity of the gates over the layers of a group, by channel. */
export function foldOverGates(channels: readonly GatedChannel[], of: (gate: string, position: number) => number): number[] {
  return channels.map((places) => places.reduce((sum, { gate, position }) => sum + of(gate, position), 0));
}

/** Spatial size of the activations that each gate multiplies, and its gates by name, for the FLOPs-aware score. */
export function gateAreas(network: PrunableNetwork, gates: ReadonlyMap<string, readonly Gate[]>): Map<string, number> {
  const { shapes } = network.coupling.index;
  const areas = new Map<string, number>();
  for (const node of network.graph.nodes) {
    const gate = [...gates.values()].flat().find((g) => (g.kind === 'norm' ? g.norm === node.name : node.inputs[1] === g.name));
    const shape = gate && shapes.get(node.outputs[0] ?? '');
    if (gate && shape)
      areas.set(
        gate.name,
        shape.slice(2).reduce((a, b) => a * b, 1),
      );
  }
  return areas;
}

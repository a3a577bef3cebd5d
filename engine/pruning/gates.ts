import { type Graph, consumersOf, copyGraph } from '../graph/graph';
import { float32 } from '../graph/tensor';
import type { ChannelGroup, PrunableNetwork } from './channelGroups';

/** A gate: factors of ones on the channels of a value, one gate for each layer of a group. */
export interface Gate {
  /** Initializer of ones. */
  readonly name: string;
  /** Channel of the group by position of the gate; -1 where the position belongs to no channel of it. */
  readonly channelAt: readonly number[];
}

/**
 * Multiplies the output of every prunable layer by a gate of ones: after its batch norm, or after the layer where the norm is
 * folded in (Gate Decorator, papers.md 3.1). The function of the network does not change, and at phi = 1 the gradient of the
 * gate is dL/dphi * phi.
 */
export function insertGates(network: PrunableNetwork): { graph: Graph; gates: Map<string, Gate[]> } {
  const graph = copyGraph(network.graph);
  const consumers = consumersOf(network.graph);
  const gates = new Map<string, Gate[]>();
  const { shapes } = network.coupling.index;
  for (const group of network.groups)
    gates.set(
      group.id,
      group.layers.flatMap((layer) => {
        const at = gatedValue(network.graph, consumers, layer);
        const shape = shapes.get(at ?? '');
        const gate = at && shape && gateFor(group, at, shape);
        if (!at || !shape || !gate) return [];
        insertAfter(graph, at, gate.name, gate.channelAt.length, gate.axis, shape.length);
        return [gate];
      }),
    );
  return { graph, gates };
}

/** The batch norm's output when the layer feeds nothing else, the layer's own otherwise. */
function gatedValue(graph: Graph, consumers: ReadonlyMap<string, { op: string; outputs: string[] }[]>, layer: string): string | undefined {
  const own = graph.nodes.find((node) => node.name === layer)?.outputs[0];
  const readers = consumers.get(own ?? '') ?? [];
  return readers.length === 1 && readers[0]?.op === 'BatchNormalization' ? readers[0].outputs[0] : own;
}

function gateFor(group: ChannelGroup, value: string, shape: readonly number[]): (Gate & { axis: number }) | undefined {
  const axis = group.channels[0]?.members.find((m) => m.value === value)?.axis;
  if (axis === undefined) return undefined;
  const channelAt = new Array<number>(shape[axis] ?? 0).fill(-1);
  group.channels.forEach((channel, c) =>
    channel.members.filter((m) => m.value === value && m.axis === axis).forEach((m) => m.positions.forEach((p) => (channelAt[p] = c))),
  );
  return { name: `gate/${value}/${group.id}`, channelAt, axis };
}

function insertAfter(graph: Graph, value: string, gate: string, size: number, axis: number, rank: number): void {
  const dims = Array.from({ length: rank - axis }, (_, i) => (i === 0 ? size : 1));
  const gated = `${gate}/out`;
  graph.initializers.set(gate, float32(dims, new Float32Array(size).fill(1)));
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => (name === value ? gated : name));
  const at = graph.nodes.findIndex((node) => node.outputs.includes(value));
  graph.nodes.splice(at + 1, 0, { name: gate, op: 'Mul', domain: '', inputs: [value, gate], outputs: [gated], attributes: new Map() });
}

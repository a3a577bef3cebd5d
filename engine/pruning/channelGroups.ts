import type { Graph, Node } from '../graph/graph';
import type { Coupling } from './coupling';
import { coupleGraph } from './coupling';

/** Positions of one axis that belong to a channel. */
export interface Member {
  readonly value: string;
  readonly axis: number;
  readonly positions: readonly number[];
}

/** What stays or goes as a whole: one filter, or one filter of every layer that a residual connection ties to it. */
export interface Channel {
  readonly members: readonly Member[];
}

/** Channels with the same members but for positions; filters of the same layers. */
export interface ChannelGroup {
  /** Name of the first layer that makes the channels; unique. */
  readonly id: string;
  /** Nodes with weights whose filters these are. */
  readonly layers: readonly string[];
  readonly channels: readonly Channel[];
}

export interface LockedLayer {
  readonly layer: string;
  readonly reason: string;
}

export interface PrunableNetwork {
  readonly graph: Graph;
  readonly coupling: Coupling;
  readonly groups: readonly ChannelGroup[];
  readonly locked: readonly LockedLayer[];
}

/** Axis of the weight that holds the filters a node makes, by operator. */
export function filterAxis(node: Node): { input: number; axis: number; output: number } | undefined {
  switch (node.op) {
    case 'Conv':
      return { input: 1, axis: 0, output: 1 };
    case 'ConvTranspose':
      return { input: 1, axis: 1, output: 1 };
    case 'Gemm': {
      const transB = node.attributes.get('transB');
      return { input: 1, axis: transB?.kind === 'int' && transB.value === 1 ? 0 : 1, output: 1 };
    }
    case 'MatMul':
      return { input: 1, axis: 1, output: -1 };
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return { input: 1, axis: 1, output: -1 };
    default:
      return undefined;
  }
}

/** All prunable channels of a network, and the layers that cannot lose any, with the reason. */
export function findChannelGroups(graph: Graph): PrunableNetwork {
  const coupling = coupleGraph(graph);
  const producers = layersByAxis(graph);
  const classes = collectClasses(coupling, producers);
  const groups = new Map<string, { layers: string[]; channels: Channel[] }>();
  for (const members of classes.values()) {
    const signature = members.map((m) => `${m.value}:${m.axis}`).join('|');
    const layers = [...new Set(members.flatMap((m) => producers.get(`${m.value}:${m.axis}`) ?? []))];
    const group = groups.get(signature) ?? { layers, channels: [] };
    group.channels.push({ members });
    groups.set(signature, group);
  }
  const order = new Map(graph.nodes.map((node, i) => [node.name, i]));
  const place = (layer: string | undefined): number => order.get(layer ?? '') ?? 0;
  const used = new Set<string>();
  const named = [...groups.values()]
    .map(({ layers, channels }) => ({ layers: layers.sort((a, b) => place(a) - place(b)), channels }))
    .sort((a, b) => place(a.layers[0]) - place(b.layers[0]))
    .map((group) => ({ id: uniqueId(group.layers[0] ?? '', used), ...group }));
  return { graph, coupling, groups: named, locked: lockedLayers(graph, coupling) };
}

function uniqueId(wanted: string, used: Set<string>): string {
  let id = wanted;
  for (let i = 2; used.has(id); i++) id = `${wanted}#${i}`;
  used.add(id);
  return id;
}

/** Layers by the axis of the initializer that holds their filters. */
function layersByAxis(graph: Graph): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const node of graph.nodes) {
    const filters = filterAxis(node);
    const weight = filters && node.inputs[filters.input];
    if (!filters || !weight || !graph.initializers.has(weight)) continue;
    const key = `${weight}:${filters.axis}`;
    result.set(key, [...(result.get(key) ?? []), node.name]);
  }
  return result;
}

/** Unlocked classes that hold filters of a layer, with their members in the order of atoms. */
function collectClasses({ index, sets, locked }: Coupling, producers: ReadonlyMap<string, string[]>): Map<number, Member[]> {
  const wanted = new Set<number>();
  for (const { value, axis, start } of index.axes())
    if (producers.has(`${value}:${axis}`)) for (let i = 0; i < index.size(value, axis); i++) wanted.add(sets.find(start + i));
  for (const root of locked.keys()) wanted.delete(root);
  const classes = new Map<number, { value: string; axis: number; positions: number[] }[]>();
  for (const { value, axis, start } of index.axes())
    for (let i = 0; i < index.size(value, axis); i++) {
      const root = sets.find(start + i);
      if (!wanted.has(root)) continue;
      const members = classes.get(root) ?? [];
      const last = members.at(-1);
      if (last?.value === value && last.axis === axis) last.positions.push(i);
      else members.push({ value, axis, positions: [i] });
      classes.set(root, members);
    }
  return classes;
}

function lockedLayers(graph: Graph, { index, sets, locked }: Coupling): LockedLayer[] {
  return graph.nodes.flatMap((node) => {
    const filters = filterAxis(node);
    const weight = filters && node.inputs[filters.input];
    if (!filters || !weight || !graph.initializers.has(weight) || index.size(weight, filters.axis) === 0) return [];
    const reason = locked.get(sets.find(index.start(weight, filters.axis)));
    return reason === undefined ? [] : [{ layer: node.name, reason }];
  });
}

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
  const groups = groupClasses(coupling, collectClasses(coupling, producers), producers);
  const order = new Map(graph.nodes.map((node, i) => [node.name, i]));
  const place = (layer: string | undefined): number => order.get(layer ?? '') ?? 0;
  const used = new Set<string>();
  const named = groups
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

/** A class of atoms that stay or go together: the axes it lies on, by their place in the index, and its positions along each. */
interface AtomClass {
  readonly axes: number[];
  readonly positions: (number | number[])[];
}

/** A channel whose members are made when they are asked for; large networks have hundreds of thousands. */
class IndexedChannel implements Channel {
  private made: readonly Member[] | undefined;

  constructor(
    private readonly atoms: AtomClass,
    private readonly owners: readonly { readonly value: string; readonly axis: number }[],
  ) {}

  get members(): readonly Member[] {
    this.made ??= this.atoms.axes.map((owner, i): Member => {
      const { value, axis } = this.owners[owner] as { value: string; axis: number };
      const positions = this.atoms.positions[i] ?? [];
      return { value, axis, positions: typeof positions === 'number' ? [positions] : positions };
    });
    return this.made;
  }
}

/** Unlocked classes that hold filters of a layer, with their members in the order of atoms. */
function collectClasses({ index, sets, locked }: Coupling, producers: ReadonlyMap<string, string[]>): AtomClass[] {
  const wanted = new Uint8Array(index.count);
  for (const { value, axis, start } of index.axes())
    if (producers.has(`${value}:${axis}`)) for (let i = 0; i < index.size(value, axis); i++) wanted[sets.find(start + i)] = 1;
  for (const root of locked.keys()) wanted[root] = 0;
  const placeOf = new Int32Array(index.count).fill(-1);
  const classes: AtomClass[] = [];
  for (const [owner, { value, axis, start }] of index.axes().entries())
    for (let i = 0, size = index.size(value, axis); i < size; i++) {
      const root = sets.find(start + i);
      if (!wanted[root]) continue;
      if ((placeOf[root] as number) < 0) placeOf[root] = classes.push({ axes: [], positions: [] }) - 1;
      addAtom(classes[placeOf[root] as number] as AtomClass, owner, i);
    }
  return classes;
}

function addAtom({ axes, positions }: AtomClass, owner: number, position: number): void {
  const last = axes.length - 1;
  if (axes[last] !== owner) {
    axes.push(owner);
    positions.push(position);
    return;
  }
  const before = positions[last] as number | number[];
  if (typeof before === 'number') positions[last] = [before, position];
  else before.push(position);
}

/** Classes on the same axes are channels of one group. */
function groupClasses(
  { index }: Coupling,
  classes: readonly AtomClass[],
  producers: ReadonlyMap<string, string[]>,
): { layers: string[]; channels: Channel[] }[] {
  const owners = index.axes();
  const buckets = new Map<number, { axes: readonly number[]; layers: string[]; channels: Channel[] }[]>();
  const groups: { layers: string[]; channels: Channel[] }[] = [];
  for (const atoms of classes) {
    const hash = atoms.axes.reduce((h, owner) => (Math.imul(h, 31) + owner) | 0, 7);
    const bucket = buckets.get(hash) ?? [];
    buckets.set(hash, bucket);
    let group = bucket.find(({ axes }) => axes.length === atoms.axes.length && axes.every((owner, i) => owner === atoms.axes[i]));
    if (!group) {
      const layers = atoms.axes.flatMap((owner) => producers.get(`${owners[owner]?.value}:${owners[owner]?.axis}`) ?? []);
      group = { axes: atoms.axes, layers: [...new Set(layers)], channels: [] };
      bucket.push(group);
      groups.push(group);
    }
    group.channels.push(new IndexedChannel(atoms, owners));
  }
  return groups;
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

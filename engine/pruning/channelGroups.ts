import type { Graph, Node } from '../graph/graph';
import type { AtomIndex, Bundle } from './atoms';
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
      return {
        input: 1,
        axis: transB?.kind === 'int' && transB.value === 1 ? 0 : 1,
        output: 1,
      };
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
    .map(({ layers, channels }) => ({
      layers: layers.sort((a, b) => place(a) - place(b)),
      channels,
    }))
    .sort((a, b) => place(a.layers[0]) - place(b.layers[0]))
    .map((group) => ({ id: uniqueId(group.layers[0] ?? '', used), ...group }));
  return {
    graph,
    coupling,
    groups: named,
    locked: lockedLayers(graph, coupling),
  };
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

/** Positions of one bundle of axes that belong to a class of atoms: one, or several. */
type Positions = number | number[];

/** A class of atoms that stay or go together: the bundles of axes it lies on, and its positions along each. */
interface AtomClass {
  readonly bundles: Bundle[];
  readonly positions: Positions[];
}

/** An axis that the channels of a group lie on, and which of their positions are theirs along it. */
interface GroupAxis {
  readonly value: string;
  readonly axis: number;
  readonly slot: number;
}

/** A channel whose members are made when they are asked for; large networks have hundreds of thousands. */
class IndexedChannel implements Channel {
  private made: readonly Member[] | undefined;

  constructor(
    private readonly positions: readonly Positions[],
    private readonly axes: readonly GroupAxis[],
  ) {}

  get members(): readonly Member[] {
    this.made ??= this.axes.map(({ value, axis, slot }): Member => {
      const positions = this.positions[slot] ?? [];
      return {
        value,
        axis,
        positions: typeof positions === 'number' ? [positions] : positions,
      };
    });
    return this.made;
  }
}

/** Unlocked classes that hold filters of a layer, in the order of atoms. */
function collectClasses({ index, sets, locked }: Coupling, producers: ReadonlyMap<string, string[]>): AtomClass[] {
  const wanted = new Uint8Array(index.count);
  for (const { axes, start, size } of index.bundles)
    if (axes.some((number) => producers.has(keyOf(index, number)))) for (let i = 0; i < size; i++) wanted[sets.find(start + i)] = 1;
  for (const root of locked.keys()) wanted[root] = 0;
  const placeOf = new Int32Array(index.count).fill(-1);
  const classes: AtomClass[] = [];
  for (const bundle of index.bundles)
    for (let i = 0; i < bundle.size; i++) {
      const root = sets.find(bundle.start + i);
      if (!wanted[root]) continue;
      if ((placeOf[root] as number) < 0) placeOf[root] = classes.push({ bundles: [], positions: [] }) - 1;
      addAtom(classes[placeOf[root] as number] as AtomClass, bundle, i);
    }
  return classes;
}

function keyOf({ axes }: AtomIndex, number: number): string {
  const { value, axis } = axes.axes[number] as { value: string; axis: number };
  return `${value}:${axis}`;
}

function addAtom({ bundles, positions }: AtomClass, bundle: Bundle, position: number): void {
  const last = bundles.length - 1;
  if (bundles[last] !== bundle) {
    bundles.push(bundle);
    positions.push(position);
    return;
  }
  const before = positions[last] as Positions;
  if (typeof before === 'number') positions[last] = [before, position];
  else before.push(position);
}

/** Classes on the same bundles are channels of one group. */
function groupClasses(
  { index }: Coupling,
  classes: readonly AtomClass[],
  producers: ReadonlyMap<string, string[]>,
): { layers: string[]; channels: Channel[] }[] {
  const groups = new Map<string, { axes: GroupAxis[]; layers: string[]; channels: Channel[] }>();
  for (const { bundles, positions } of classes) {
    const key = bundles.map(({ start }) => start).join();
    let group = groups.get(key);
    if (!group) {
      const numbers = bundles.flatMap(({ axes }, slot) => axes.map((number) => ({ number, slot }))).sort((a, b) => a.number - b.number);
      const layers = numbers.flatMap(({ number }) => producers.get(keyOf(index, number)) ?? []);
      const axes = numbers.map(({ number, slot }) => ({
        ...(index.axes.axes[number] as { value: string; axis: number }),
        slot,
      }));
      group = { axes, layers: [...new Set(layers)], channels: [] };
      groups.set(key, group);
    }
    group.channels.push(new IndexedChannel(positions, group.axes));
  }
  return [...groups.values()];
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

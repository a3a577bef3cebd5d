import { SurgeryError } from '../graph/errors';
import { type Graph, type Node, consumersOf, copyGraph, intOf } from '../graph/graph';
import { type Tensor, elementCount, float32 } from '../graph/tensor';
import { type ChannelGroup, type PrunableNetwork, filterAxis } from './channelGroups';

/** Largest |beta / gamma| that the norm's shift takes; the authors clamp beyond it, here the frozen scale takes the rest. */
const LARGEST_SHIFT = 10;

/** A trainable factor phi on every output channel of a layer; where it sits, so that it can be merged back. */
export type Gate = NormGate | OutputGate | StateGate;

/** phi * (scale * z_hat + shift): phi multiplies scale and shift of a batch norm, which costs nothing on the activations. */
export interface NormGate {
  readonly kind: 'norm';
  /** Initializer phi. */
  readonly name: string;
  readonly norm: string;
  /** Initializers that hold gamma and beta in the original network. */
  readonly gamma: string;
  readonly beta: string;
  /** Frozen scale and trainable shift of the gated network. */
  readonly scale: string;
  readonly shift: string;
}

/** phi * y after a layer that no batch norm follows (the file has it folded in, or there is none). */
export interface OutputGate {
  readonly kind: 'output';
  readonly name: string;
  readonly layers: readonly string[];
  readonly weight: string;
  readonly biases: readonly string[];
}

/** phi on the hidden state of a recurrent layer: on what it gives and, through the columns of R, on what it feeds back. It stays at one. */
export interface StateGate {
  readonly kind: 'state';
  readonly name: string;
}

export interface GatedNetwork {
  readonly graph: Graph;
  /** Gates by group id. */
  readonly gates: ReadonlyMap<string, readonly Gate[]>;
}

/**
 * Gate Decorator's conversion (papers.md 3.1), which keeps the function: phi starts at gamma and the shift at beta / gamma where
 * a batch norm follows a layer, and phi starts at one after it where none does. Channels with |beta / gamma| above 10 keep a
 * frozen scale below one, so that the conversion is exact for them too.
 *
 * @param states also gates the units of recurrent layers, for scoring: such a gate cannot be trained and merged
 */
export function insertGates(network: PrunableNetwork, states = false): GatedNetwork {
  const graph = copyGraph(network.graph);
  const consumers = consumersOf(network.graph);
  const byName = new Map<string, Gate>();
  const gates = new Map<string, Gate[]>();
  for (const group of network.groups) {
    const own = new Map<string, Gate>();
    for (const layer of group.layers) {
      const gate = insertGate(graph, network, group, layer, consumers, byName, states);
      if (gate) own.set(gate.name, gate);
    }
    if (own.size > 0) gates.set(group.id, [...own.values()]);
  }
  return { graph, gates };
}

type Consumers = ReadonlyMap<string, Node[]>;

function insertGate(
  graph: Graph,
  network: PrunableNetwork,
  group: ChannelGroup,
  layer: string,
  consumers: Consumers,
  byName: Map<string, Gate>,
  states: boolean,
): Gate | undefined {
  const node = network.graph.nodes.find((n) => n.name === layer);
  if (!node) return undefined;
  if (/^(LSTM|GRU|RNN)$/.test(node.op)) return states ? gateState(graph, network, node, byName) : undefined;
  const { value, biases } = afterBias(network.graph, node, consumers);
  const norm = soleReader(consumers, value);
  if (norm?.op === 'BatchNormalization') return gateNorm(graph, norm, byName);
  return gateOutput(graph, network, group, node, value, biases, byName);
}

const soleReader = (consumers: Consumers, value: string): Node | undefined => {
  const readers = consumers.get(value) ?? [];
  return readers.length === 1 ? readers[0] : undefined;
};

/** Follows the additions of constant vectors behind a layer: they are its bias. */
function afterBias(graph: Graph, node: Node, consumers: Consumers): { value: string; biases: string[] } {
  const biases = [node.inputs[2] ?? ''].filter((name) => graph.initializers.has(name));
  let value = node.outputs[0] ?? '';
  for (;;) {
    const next = soleReader(consumers, value);
    const bias = next?.op === 'Add' ? next.inputs.find((name) => isVector(graph.initializers.get(name))) : undefined;
    if (!next || bias === undefined || (consumers.get(bias)?.length ?? 0) > 1) return { value, biases };
    biases.push(bias);
    value = next.outputs[0] ?? '';
  }
}

const isVector = (tensor: Tensor | undefined): boolean => tensor !== undefined && tensor.dims.filter((d) => d > 1).length === 1;

function gateNorm(graph: Graph, norm: Node, byName: Map<string, Gate>): Gate | undefined {
  const [gamma = '', beta = ''] = [norm.inputs[1], norm.inputs[2]];
  const [scales, shifts] = [graph.initializers.get(gamma), graph.initializers.get(beta)];
  if (!scales || !shifts) return undefined;
  const target = graph.nodes.find((n) => n.name === norm.name) as Node;
  const gate: NormGate = {
    kind: 'norm',
    name: `gate/${gamma}`,
    norm: norm.name,
    gamma,
    beta,
    scale: `${gamma}/scale`,
    shift: `${beta}/shift`,
  };
  const before = byName.get(gate.name);
  if (!before) addNormGate(graph, gate, scales.data as Float32Array, shifts.data as Float32Array, norm.name);
  byName.set(gate.name, before ?? gate);
  target.inputs[1] = gatedScale(gate);
  target.inputs[2] = gatedShift(gate);
  return before ?? gate;
}

const gatedScale = (gate: NormGate): string => `${gate.name}/scale`;
const gatedShift = (gate: NormGate): string => `${gate.name}/shift`;

function addNormGate(graph: Graph, gate: NormGate, gamma: Float32Array, beta: Float32Array, norm: string): void {
  const phi = gamma.map((g, i) => (Math.abs(beta[i] ?? 0) <= LARGEST_SHIFT * Math.abs(g) ? g : largestGate(g, beta[i] ?? 0)));
  const over = (values: Float32Array, none: number): Float32Array => values.map((v, i) => (phi[i] === 0 ? none : v / (phi[i] ?? 1)));
  graph.initializers.set(gate.name, float32([phi.length], phi));
  graph.initializers.set(gate.scale, float32([phi.length], over(gamma, 1)));
  graph.initializers.set(gate.shift, float32([phi.length], over(beta, 0)));
  const at = graph.nodes.findIndex((n) => n.name === norm);
  graph.nodes.splice(at, 0, product(gatedScale(gate), gate.name, gate.scale), product(gatedShift(gate), gate.name, gate.shift));
}

const largestGate = (gamma: number, beta: number): number => ((gamma < 0 ? -1 : 1) * Math.abs(beta)) / LARGEST_SHIFT;

const product = (output: string, a: string, b: string): Node => ({
  name: output,
  op: 'Mul',
  domain: '',
  inputs: [a, b],
  outputs: [output],
  attributes: new Map(),
});

function gateOutput(
  graph: Graph,
  network: PrunableNetwork,
  group: ChannelGroup,
  node: Node,
  value: string,
  biases: readonly string[],
  byName: Map<string, Gate>,
): Gate | undefined {
  const axis = group.channels[0]?.members.find((m) => m.value === value)?.axis;
  const shape = network.coupling.index.shapes.get(value);
  const filters = filterAxis(node);
  const weight = filters && node.inputs[filters.input];
  if (axis === undefined || !shape || !weight) return undefined;
  const name = `gate/${weight}`;
  const before = byName.get(name);
  if (before?.kind === 'output' && before.layers.includes(node.name)) return before;
  const layers = [...(before?.kind === 'output' ? before.layers : []), node.name];
  const gate: OutputGate = { kind: 'output', name, layers, weight, biases };
  byName.set(name, gate);
  if (!before) {
    const dims = Array.from({ length: shape.length - axis }, (_, i) => (i === 0 ? (shape[axis] ?? 1) : 1));
    graph.initializers.set(name, float32(dims, new Float32Array(shape[axis] ?? 1).fill(1)));
  }
  multiplyAfter(graph, value, name);
  return gate;
}

function gateState(graph: Graph, network: PrunableNetwork, node: Node, byName: Map<string, Gate>): Gate | undefined {
  const recurrent = node.inputs[2] ?? '';
  const hidden = network.coupling.index.shapes.get(recurrent)?.[2];
  const target = graph.nodes.find((n) => n.name === node.name);
  if (hidden === undefined || !target) return undefined;
  const gate: StateGate = { kind: 'state', name: `gate/${recurrent}` };
  const gated = `${recurrent}${GATED}`;
  if (!byName.has(gate.name)) {
    graph.initializers.set(gate.name, float32([hidden], new Float32Array(hidden).fill(1)));
    graph.nodes.splice(graph.nodes.indexOf(target), 0, product(gated, recurrent, gate.name));
  }
  byName.set(gate.name, gate);
  target.inputs[2] = gated;
  for (const output of node.outputs) if (output) multiplyAfter(graph, output, gate.name);
  return gate;
}

const GATED = '/gated';

function multiplyAfter(graph: Graph, value: string, gate: string): void {
  const gated = `${value}${GATED}`;
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => (name === value ? gated : name));
  const at = graph.nodes.findIndex((node) => node.outputs.includes(value));
  graph.nodes.splice(at + 1, 0, product(gated, value, gate));
}

/** Puts every gate (once, though a layer of two groups lists it twice) into the weights it stands beside: the result has the structure and the names of the network before the gates. */
export function mergeGates(gated: Graph, gates: Iterable<Gate>): Graph {
  const graph = copyGraph(gated);
  for (const gate of new Map([...gates].map((g) => [g.name, g])).values()) {
    if (gate.kind === 'norm') mergeNorm(graph, gate);
    else if (gate.kind === 'output') mergeOutput(graph, gate);
    else dropProducts(graph, gate);
    graph.initializers.delete(gate.name);
  }
  return graph;
}

const read = (graph: Graph, name: string): Tensor & { data: Float32Array } => {
  const tensor = graph.initializers.get(name);
  if (!tensor) throw new SurgeryError('internal', `The gated network has no ${name}`);
  return tensor as Tensor & { data: Float32Array };
};

function mergeNorm(graph: Graph, gate: NormGate): void {
  const phi = read(graph, gate.name).data;
  for (const [target, source] of [
    [gate.gamma, gate.scale],
    [gate.beta, gate.shift],
  ] as const) {
    const factors = read(graph, source);
    graph.initializers.set(
      target,
      float32(
        factors.dims,
        factors.data.map((v, i) => v * (phi[i] ?? 0)),
      ),
    );
    graph.initializers.delete(source);
  }
  const replaced = new Map([
    [gatedScale(gate), gate.gamma],
    [gatedShift(gate), gate.beta],
  ]);
  dropNodes(graph, replaced);
}

function mergeOutput(graph: Graph, gate: OutputGate): void {
  const phi = read(graph, gate.name).data;
  const node = graph.nodes.find((n) => gate.layers.includes(n.name)) as Node;
  graph.initializers.set(gate.weight, scaleFilters(node, read(graph, gate.weight), phi));
  for (const bias of gate.biases) {
    const { dims, data } = read(graph, bias);
    const isScalar = data.length === 1;
    graph.initializers.set(
      bias,
      float32(
        isScalar ? [phi.length] : dims,
        phi.map((g, i) => g * (data[isScalar ? 0 : i] ?? 0)),
      ),
    );
  }
  dropProducts(graph, gate);
}

function dropProducts(graph: Graph, gate: Gate): void {
  const products = graph.nodes.filter((n) => n.op === 'Mul' && n.inputs[1] === gate.name);
  dropNodes(graph, new Map(products.map((n) => [n.outputs[0] ?? '', n.inputs[0] ?? ''])));
}

/** Multiplies every filter by its gate. A grouped ConvTranspose holds the filters of each group under the group's input channels. */
function scaleFilters(node: Node, weight: Tensor & { data: Float32Array }, phi: Float32Array): Tensor {
  const axis = filterAxis(node)?.axis ?? 0;
  const { dims, data } = weight;
  const [size, inner, outer] = [dims[axis] ?? 1, elementCount(dims.slice(axis + 1)), elementCount(dims.slice(0, axis))];
  const perGroup = outer / intOf(node, 'group', 1);
  const grouped = node.op === 'ConvTranspose' ? (o: number): number => Math.floor(o / perGroup) * size : (): number => 0;
  const result = new Float32Array(data.length);
  for (let o = 0, at = 0; o < outer; o++)
    for (let f = 0; f < size; f++) for (let i = 0; i < inner; i++, at++) result[at] = (data[at] ?? 0) * (phi[grouped(o) + f] ?? 1);
  return float32(dims, result);
}

/** Removes the nodes that make the keys; their readers read the values instead. */
function dropNodes(graph: Graph, replaced: ReadonlyMap<string, string>): void {
  graph.nodes = graph.nodes.filter((node) => !replaced.has(node.outputs[0] ?? ''));
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => replaced.get(name) ?? name);
}

import type { ElementType, Tensor } from './tensor';
import type { Shape } from './dims';

/** A graph attribute of control-flow operators. */
export type AttributeValue =
  | { kind: 'int'; value: number }
  | { kind: 'float'; value: number }
  | { kind: 'string'; value: string }
  | { kind: 'ints'; value: readonly number[] }
  | { kind: 'floats'; value: readonly number[] }
  | { kind: 'strings'; value: readonly string[] }
  | { kind: 'tensor'; value: Tensor }
  | { kind: 'graph'; value: Graph }
  /** Kept as read and written back unchanged; `source` belongs to the format that read it. */
  | { kind: 'opaque'; source: unknown };

export interface Node {
  /** Unique within its graph; given by the reader when the file leaves it empty. */
  name: string;
  op: string;
  /** '' is the ONNX domain. */
  domain: string;
  /** Value names; '' marks an optional input that is absent. */
  inputs: string[];
  outputs: string[];
  attributes: Map<string, AttributeValue>;
  /** What the format read, so that a writer keeps what we do not understand. Dropped when the node is rewritten. */
  source?: unknown;
}

export interface ValueType {
  type: ElementType;
  /** Undefined when the rank is unknown. */
  shape?: Shape;
}

export interface NamedValue extends ValueType {
  name: string;
  source?: unknown;
}

/**
 * A dataflow graph in topological order. Values are named by strings; an initializer may also be listed in `inputs`
 * (ONNX IR before 4), in which case its value is a default.
 */
export interface Graph {
  name: string;
  /** Opset by domain. */
  opsets: Map<string, number>;
  inputs: NamedValue[];
  outputs: NamedValue[];
  initializers: Map<string, Tensor>;
  nodes: Node[];
  /** Types the file states for inner values. */
  valueInfo: Map<string, NamedValue>;
  source?: unknown;
}

/** The inputs that a caller must feed: those without an initializer. */
export function feedsOf(graph: Graph): NamedValue[] {
  return graph.inputs.filter((input) => !graph.initializers.has(input.name));
}

export function newGraph(name: string, opset = 17): Graph {
  return { name, opsets: new Map([['', opset]]), inputs: [], outputs: [], initializers: new Map(), nodes: [], valueInfo: new Map() };
}

/** A copy whose lists and maps can be changed without touching the original; tensors and nodes' attribute values are shared. */
export function copyGraph(graph: Graph): Graph {
  return {
    ...graph,
    opsets: new Map(graph.opsets),
    inputs: graph.inputs.map((v) => ({ ...v })),
    outputs: graph.outputs.map((v) => ({ ...v })),
    initializers: new Map(graph.initializers),
    nodes: graph.nodes.map((n) => ({ ...n, inputs: [...n.inputs], outputs: [...n.outputs], attributes: new Map(n.attributes) })),
    valueInfo: new Map(graph.valueInfo),
  };
}

/** Node that makes each value. */
export function producersOf(graph: Graph): Map<string, Node> {
  const result = new Map<string, Node>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output) result.set(output, node);
  return result;
}

/** Nodes that read each value, once per node. */
export function consumersOf(graph: Graph): Map<string, Node[]> {
  const result = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const input of new Set(node.inputs)) {
      if (!input) continue;
      const list = result.get(input);
      if (list) list.push(node);
      else result.set(input, [node]);
    }
  return result;
}

export function intOf(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? attribute.value : fallback;
}

export function floatOf(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'float' || attribute?.kind === 'int' ? attribute.value : fallback;
}

export function stringOf(node: Node, name: string, fallback: string): string {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'string' ? attribute.value : fallback;
}

export function intsOf(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name);
  if (attribute?.kind === 'ints') return attribute.value;
  return attribute?.kind === 'floats' && attribute.value.length === 0 ? [] : undefined;
}

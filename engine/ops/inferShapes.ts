import { SurgeryError } from '../graph/errors';
import { type Shape, isStatic } from '../graph/dims';
import type { Graph, Node, ValueType } from '../graph/graph';
import { type Tensor, elementCount, numbersOf } from '../graph/tensor';
import type { KnownValue, ShapeContext } from './opRecord';
import { lookupOp } from './opTable';

/** Elements above this count are never folded: they are data, not shapes. */
const FOLD_LIMIT = 1024;

export interface InferredTypes {
  readonly types: Map<string, ValueType>;
  readonly known: Map<string, KnownValue>;
  /** Nodes without a record or whose rule failed; their outputs have only the types the file states. */
  readonly problems: { node: string; op: string; reason: string }[];
}

/**
 * Types of every value of a graph. Symbolic dimensions stay symbolic; an unknown operator is a problem, not an error,
 * and what the file says of its outputs is used. Subgraphs see the outer values.
 */
export function inferShapes(graph: Graph, overrides: ReadonlyMap<string, Shape> = new Map(), outer?: InferredTypes): InferredTypes {
  const result: InferredTypes = { types: new Map(outer?.types), known: new Map(outer?.known), problems: outer?.problems ?? [] };
  for (const [name, tensor] of graph.initializers) result.types.set(name, { type: tensor.type, shape: tensor.dims });
  for (const input of graph.inputs)
    if (!graph.initializers.has(input.name))
      result.types.set(input.name, { type: input.type, shape: overrides.get(input.name) ?? input.shape });
  const outputs = new Map(graph.outputs.map((output) => [output.name, output]));
  for (const node of graph.nodes) {
    let inferred: ValueType[] = [];
    try {
      inferred = inferNode(node, graph, result.types, result.known, result);
    } catch (error) {
      if (!(error instanceof SurgeryError)) throw error;
      result.problems.push({ node: node.name, op: node.op, reason: error.message });
    }
    node.outputs.forEach((name, i) => {
      if (!name) return;
      const type = mergeTypes(inferred[i], graph.valueInfo.get(name) ?? outputs.get(name));
      if (type) result.types.set(name, type);
    });
  }
  return result;
}

/** Types of one node's outputs. Throws SurgeryError naming the node when its operator is unknown or its inputs do not fit. */
export function inferNode(
  node: Node,
  graph: Graph,
  types: ReadonlyMap<string, ValueType>,
  known: Map<string, KnownValue> = new Map(),
  outer?: InferredTypes,
): ValueType[] {
  const opset = graph.opsets.get(node.domain === 'ai.onnx' ? '' : node.domain) ?? 1;
  const record = lookupOp(node.op, node.domain, opset);
  if (!record)
    throw new SurgeryError(
      'operator-unsupported',
      `Node ${node.name}: operator ${node.domain ? `${node.domain}.` : ''}${node.op} (opset ${opset}) is not in the operator table`,
    );
  const fail = (reason: string): never => {
    throw new SurgeryError('shape-mismatch', `Node ${node.name} (${node.op}): ${reason}`, { node: node.name, op: node.op });
  };
  const present = (i: number): ValueType | undefined => {
    const name = node.inputs[i];
    return name ? types.get(name) : undefined;
  };
  const constant = (i: number): Tensor | undefined => graph.initializers.get(node.inputs[i] ?? '');
  const context: ShapeContext = {
    node,
    opset,
    input: present,
    shape: (i) => (node.inputs[i] ? present(i)?.shape : fail(`input ${i} is missing`)),
    known(i) {
      const name = node.inputs[i] ?? '';
      const found = known.get(name);
      const tensor = found ? undefined : constant(i);
      return found ?? (tensor && foldable(tensor) ? { dims: tensor.dims, elements: numbersOf(tensor) } : undefined);
    },
    constant,
    setKnown(i, value) {
      const name = node.outputs[i];
      if (name && value.elements.length <= FOLD_LIMIT) known.set(name, value);
    },
    inferSubgraph(subgraph) {
      const inner = inferShapes(subgraph, new Map(), { types: new Map(types), known, problems: outer?.problems ?? [] });
      return subgraph.outputs.map((o) => inner.types.get(o.name) ?? o);
    },
    fail,
  };
  if (node.inputs.length < record.inputs[0]) fail(`has ${node.inputs.length} inputs but needs ${record.inputs[0]}`);
  return record.shape(context);
}

const foldable = (tensor: Tensor): boolean =>
  ArrayBuffer.isView(tensor.data) && elementCount(tensor.dims) <= FOLD_LIMIT && tensor.type !== 'string';

/** The more precise of what was inferred and what the file states. */
function mergeTypes(inferred: ValueType | undefined, stated: ValueType | undefined): ValueType | undefined {
  if (!inferred?.shape) return stated?.shape ? stated : (inferred ?? stated);
  if (!stated?.shape || stated.shape.length !== inferred.shape.length || isStatic(inferred.shape)) return inferred;
  const shape = inferred.shape.map((d, i) => (d === '?' ? (stated.shape?.[i] ?? d) : d));
  return { type: inferred.type, shape };
}

import { SurgeryError } from '../graph/errors';
import { type Graph, type Node, copyGraph } from '../graph/graph';
import { type Tensor, elementCount, takeAlong } from '../graph/tensor';
import { toAttribute } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import type { RewriteContext } from '../ops/opRecord';
import { lookupOp } from '../ops/opTable';
import type { PrunableNetwork } from './channelGroups';
import { type Cuts, type Selection, cutsOf, keptPositions } from './selection';

/** Removes every channel that is not selected: initializers shrink, attributes and constant shapes follow. The graph given stays as it is. */
export function sliceNetwork(network: PrunableNetwork, selection: Selection): Graph {
  const cuts = cutsOf(network.groups, selection);
  const graph = copyGraph(network.graph);
  const { shapes } = network.coupling.index;
  for (const node of graph.nodes) rewriteNode(node, graph, cuts, shapes);
  for (const [name, tensor] of graph.initializers) graph.initializers.set(name, sliceTensor(name, tensor, cuts));
  graph.inputs = graph.inputs.map((input) => ({ ...input, shape: graph.initializers.get(input.name)?.dims ?? input.shape }));
  for (const name of cuts.keys()) graph.valueInfo.delete(name);
  verify(graph);
  return graph;
}

function sliceTensor(name: string, tensor: Tensor, cuts: Cuts): Tensor {
  return [...(cuts.get(name)?.keys() ?? [])].reduce(
    (t, axis) => takeAlong(t, axis, keptPositions(cuts, name, axis, tensor.dims[axis] ?? 0) ?? []),
    tensor,
  );
}

function rewriteNode(node: Node, graph: Graph, cuts: Cuts, shapes: ReadonlyMap<string, readonly number[]>): void {
  const opset = graph.opsets.get(node.domain) ?? 1;
  const rule = lookupOp(node.op, node.domain, opset)?.rewrite;
  if (!rule || ![...node.inputs, ...node.outputs].some((v) => cuts.has(v))) return;
  const shapeOf = (value: string | undefined): readonly number[] => shapes.get(value ?? '') ?? [];
  const kept = (value: string | undefined, axis: number): number[] | undefined =>
    keptPositions(cuts, value ?? '', axis, shapeOf(value)[axis] ?? 0);
  const context: RewriteContext = {
    node,
    opset,
    keptIn: (i, axis) => kept(node.inputs[i], axis),
    keptOut: (i, axis) => kept(node.outputs[i], axis),
    inputShape: (i) => shapeOf(node.inputs[i]),
    outputShape: (i) => shapeOf(node.outputs[i]),
    constant: (i) => graph.initializers.get(node.inputs[i] ?? ''),
    setAttribute: (name, value) => void node.attributes.set(name, toAttribute(value)),
    removeAttribute: (name) => void node.attributes.delete(name),
    setConstant(i, tensor) {
      const name = `${node.name}/input${i}`;
      graph.initializers.set(name, tensor);
      node.inputs[i] = name;
    },
  };
  rule(context);
}

/** The shapes of the result must follow from its weights; a contradiction is a fault of a coupling rule and must not reach a file. */
function verify(graph: Graph): void {
  const { problems } = inferShapes(graph);
  const problem = problems.find((p) => lookupOp(p.op, '', graph.opsets.get('') ?? 1));
  if (problem) throw new SurgeryError('internal', `The cut left the network inconsistent: ${problem.reason}`);
}

/** The same network with zeros in place of everything that would be removed. */
export function maskNetwork(network: PrunableNetwork, selection: Selection): Graph {
  const cuts = cutsOf(network.groups, selection);
  const graph = copyGraph(network.graph);
  for (const [name, tensor] of graph.initializers) {
    const axes = cuts.get(name);
    if (axes)
      graph.initializers.set(
        name,
        [...axes].reduce((t, [axis, gone]) => zeroAlong(t, axis, gone), tensor),
      );
  }
  return graph;
}

function zeroAlong(tensor: Tensor, axis: number, positions: ReadonlySet<number>): Tensor {
  const data = (tensor.data as Float32Array).slice();
  const size = tensor.dims[axis] ?? 1;
  const inner = elementCount(tensor.dims.slice(axis + 1));
  for (let o = 0; o < elementCount(tensor.dims.slice(0, axis)); o++)
    for (const p of positions)
      data.fill(typeof data[0] === 'bigint' ? (0n as unknown as number) : 0, (o * size + p) * inner, (o * size + p + 1) * inner);
  return { ...tensor, data };
}

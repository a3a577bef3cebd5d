import type { Graph, Node } from '../graph/graph';
import type { Tensor } from '../graph/tensor';

/** Input positions that hold trained weights, by operator. */
const WEIGHT_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  FusedMatMul: [0, 1],
  BatchNormalization: [1, 2],
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  SimplifiedLayerNormalization: [1],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  PRelu: [1],
  LSTM: [1, 2, 3],
  GRU: [1, 2, 3],
  RNN: [1, 2, 3],
  Gather: [0],
  Einsum: [0, 1, 2],
};

/** Elementwise operators whose constant vectors are biases or scales of a decomposed layer; larger constants are tables. */
const ELEMENTWISE = new Set(['Add', 'Sub', 'Mul', 'Div']);
/** Operators that only rename or rearrange a weight before it is used. */
const PASSES_WEIGHT = new Set(['Transpose', 'Reshape', 'Identity', 'Squeeze', 'Unsqueeze', 'Cast']);

/**
 * Initializers that training changes, in file order: floating-point tensors at weight positions. Running statistics of
 * batch norm, shapes, scalars and constant tables are not parameters, as in PyTorch's count.
 */
export function parametersOf(graph: Graph): string[] {
  const trained = new Set<string>();
  const weightLike = new Set<string>();
  for (const node of [...graph.nodes].reverse())
    node.inputs.forEach((name, i) => {
      if (!name || !(isWeightPosition(node, i) || (i === 0 && passes(node, weightLike)))) return;
      weightLike.add(name);
      const tensor = graph.initializers.get(name);
      if (tensor && isTrainable(node, tensor)) trained.add(name);
    });
  return [...graph.initializers.keys()].filter((name) => trained.has(name));
}

const passes = (node: Node, weightLike: ReadonlySet<string>): boolean =>
  PASSES_WEIGHT.has(node.op) && node.outputs.some((o) => weightLike.has(o));

const isWeightPosition = (node: Node, i: number): boolean => (WEIGHT_INPUTS[node.op]?.includes(i) ?? false) || ELEMENTWISE.has(node.op);

const isTrainable = (node: Node, tensor: Tensor): boolean =>
  (tensor.type === 'float32' || tensor.type === 'float64' || tensor.type === 'float16' || tensor.type === 'bfloat16') &&
  (!ELEMENTWISE.has(node.op) || tensor.dims.filter((d) => d > 1).length === 1);

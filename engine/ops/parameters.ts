import { type Graph, type Node, intOf, producersOf } from '../graph/graph';
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

/** Learned tables of transformers by the names that torchvision, timm and Hugging Face give them; others are constant. */
const LEARNED_TABLE = /(^|[._/])(class_token|cls_token|dist_token|mask_token|pos_embed|pos_embedding|position_embeddings?)$/;

/**
 * Initializers that training changes, in file order: floating-point tensors at weight positions, and learned tables. Running
 * statistics of batch norm, shapes, scalars and constant tables are not parameters, as in PyTorch's count.
 */
export function parametersOf(graph: Graph): string[] {
  const trained = new Set<string>();
  const producers = producersOf(graph);
  const weightLike = new Set<string>();
  for (const node of [...graph.nodes].reverse())
    node.inputs.forEach((name, i) => {
      if (LEARNED_TABLE.test(name) && isFloat(graph.initializers.get(name))) trained.add(name);
      if (!name || !(isWeightPosition(node, i) || (i === 0 && passes(node, weightLike)))) return;
      weightLike.add(name);
      const tensor = graph.initializers.get(name);
      if (tensor && isTrainable(node, tensor, graph, producers)) trained.add(name);
    });
  return [...graph.initializers.keys()].filter((name) => trained.has(name));
}

const passes = (node: Node, weightLike: ReadonlySet<string>): boolean =>
  PASSES_WEIGHT.has(node.op) && node.outputs.some((o) => weightLike.has(o));

const isWeightPosition = (node: Node, i: number): boolean => (WEIGHT_INPUTS[node.op]?.includes(i) ?? false) || ELEMENTWISE.has(node.op);

const isFloat = (tensor: Tensor | undefined): boolean => ['float32', 'float64', 'float16', 'bfloat16'].includes(tensor?.type ?? '');

const isTrainable = (node: Node, tensor: Tensor, graph: Graph, producers: ReadonlyMap<string, Node>): boolean =>
  isFloat(tensor) && (!ELEMENTWISE.has(node.op) || isVector(tensor, node, graph, producers));

/** A vector, or one element behind a layer of one filter: what a cut to a single channel leaves of a bias. Other single elements are constants. */
function isVector({ dims }: Tensor, node: Node, graph: Graph, producers: ReadonlyMap<string, Node>): boolean {
  const long = dims.filter((d) => d > 1).length;
  if (long > 0 || dims.length === 0) return long === 1;
  let layer = node;
  while (ELEMENTWISE.has(layer.op) || PASSES_WEIGHT.has(layer.op)) {
    const before = layer.inputs.map((name) => producers.get(name)).find((producer) => producer !== undefined);
    if (!before) return false;
    layer = before;
  }
  const weight = graph.initializers.get(layer.inputs[1] ?? '');
  return weight !== undefined && filtersOf(layer, weight) === 1;
}

function filtersOf(layer: Node, { dims }: Tensor): number | undefined {
  if (layer.op === 'Conv') return dims[0];
  if (layer.op === 'ConvTranspose') return (dims[1] ?? 0) * intOf(layer, 'group', 1);
  if (layer.op === 'MatMul') return dims.at(-1);
  return layer.op === 'Gemm' ? dims[intOf(layer, 'transB', 0) === 1 ? 0 : 1] : undefined;
}

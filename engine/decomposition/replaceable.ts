import { SurgeryError } from '../graph/errors';
import { type Graph, type Node, floatOf, intOf, intsOf } from '../graph/graph';
import { type Tensor, elementCount } from '../graph/tensor';
import { inferShapes } from '../ops/inferShapes';

export type LayerKind = 'dense' | 'recurrent' | 'convolution';

/** A layer whose weight a block-term form can stand for. */
export interface ReplaceableLayer {
  readonly node: Node;
  /** The node's, or that of the hidden-to-hidden weight. */
  readonly name: string;
  readonly kind: LayerKind;
  /** Initializer, and the position where the node takes it: 2 for the hidden-to-hidden matrix of a recurrent layer, 1 elsewhere. */
  readonly weight: string;
  readonly operand: 1 | 2;
  readonly inputs: number;
  /** Outputs of all gates and directions. */
  readonly outputs: number;
  /** Gates times directions of a recurrent layer, 1 elsewhere. */
  readonly gates: number;
  /** Height and width of a convolution's window, as one mode; 1 elsewhere. */
  readonly window: number;
}

const RECURRENT: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

/** Layers that can be replaced, in file order; recurrent ones with their hidden-to-hidden matrix if that is asked for. */
export const findReplaceable = (graph: Graph, { hiddenToHidden = false } = {}): ReplaceableLayer[] =>
  graph.nodes.flatMap((node) => {
    const found = [describe(graph, node), ...(hiddenToHidden && RECURRENT[node.op] !== undefined ? [describe(graph, node, 2)] : [])];
    return found.filter((layer) => typeof layer !== 'string');
  });

/** @throws SurgeryError 'option-invalid' that says why a layer cannot be replaced, or which could. */
export function replaceableLayer(graph: Graph, name: string): ReplaceableLayer {
  const node = graph.nodes.find((n) => n.name === name) ?? graph.nodes.find((n) => n.inputs.slice(1).includes(name));
  if (!node) {
    const names = findReplaceable(graph).map((l) => l.name);
    throw new SurgeryError(
      'option-invalid',
      `The model has no layer ${name}; ${names.length > 0 ? `these can be decomposed: ${names.slice(0, 20).join(', ')}` : 'none of its layers can be decomposed'}`,
    );
  }
  const hidden = RECURRENT[node.op] !== undefined && name === node.inputs[2] && name !== node.name;
  const found = describe(graph, node, hidden ? 2 : 1);
  if (typeof found === 'string') throw new SurgeryError('option-invalid', `Layer ${node.name} (${node.op}) cannot be decomposed: ${found}`);
  return found;
}

function describe(graph: Graph, node: Node, operand: 1 | 2 = 1): ReplaceableLayer | string {
  if (node.domain !== '') return `operator ${node.domain}.${node.op} has no weight matrix that is known`;
  const weight = node.inputs[operand] ?? '';
  const tensor = graph.initializers.get(weight);
  if (!tensor) return 'its weight is not stored in the file';
  if (tensor.type !== 'float32') return `its weight is of type ${tensor.type}; only float32 weights are decomposed`;
  const common = { node, name: operand === 1 ? node.name : weight, weight, operand, gates: 1, window: 1 };
  const [a = 1, b = 1, c = 1] = tensor.dims;
  if (node.op === 'Gemm') {
    if (intOf(node, 'transA', 0) === 1) return 'its input is transposed';
    return intOf(node, 'transB', 0) === 1
      ? { ...common, kind: 'dense', inputs: b, outputs: a }
      : { ...common, kind: 'dense', inputs: a, outputs: b };
  }
  if (node.op === 'MatMul')
    return tensor.dims.length === 2 ? { ...common, kind: 'dense', inputs: a, outputs: b } : 'its weight is no matrix';
  if (node.op === 'Conv') {
    if (intOf(node, 'group', 1) !== 1) return 'a grouped convolution has nothing left to share between its channels';
    return { ...common, kind: 'convolution', inputs: b, outputs: a, window: elementCount(tensor.dims.slice(2)) };
  }
  const gates = RECURRENT[node.op];
  if (gates === undefined) return `only Gemm, MatMul, Conv, LSTM, GRU and RNN are`;
  return { ...common, kind: 'recurrent', inputs: c, outputs: a * b, gates: a * gates };
}

/** Whether the initializer holds [outputs, inputs], and what the operator multiplies it by. */
export function storageOf({ node }: ReplaceableLayer): { turned: boolean; scale: number } {
  const straight = node.op === 'MatMul' || (node.op === 'Gemm' && intOf(node, 'transB', 0) === 0);
  return { turned: !straight, scale: node.op === 'Gemm' ? floatOf(node, 'alpha', 1) : 1 };
}

/** The weight as a matrix [inputs, outputs], row-major; gates (and directions) are the slowest digit of a column. */
export function weightMatrix(graph: Graph, layer: ReplaceableLayer): Float32Array {
  const { data } = graph.initializers.get(layer.weight) as Tensor & { data: Float32Array };
  const { inputs, outputs } = layer;
  if (layer.kind === 'convolution') throw new SurgeryError('internal', 'A convolution has no weight matrix');
  const { turned, scale: alpha } = storageOf(layer);
  const straight = !turned;
  if (straight && alpha === 1) return data;
  const result = new Float32Array(data.length);
  if (straight) return result.map((_, i) => alpha * (data[i] as number));
  for (let j = 0; j < outputs; j++) for (let i = 0; i < inputs; i++) result[i * outputs + j] = alpha * (data[j * inputs + i] as number);
  return result;
}

/** A convolution's weight [M, C, ...window] as a tensor [C, M, window]. */
export function convolutionTensor(
  graph: Graph,
  { weight, inputs, outputs, window }: ReplaceableLayer,
): { dims: number[]; data: Float64Array } {
  const { data } = graph.initializers.get(weight) as Tensor & { data: Float32Array };
  const result = new Float64Array(data.length);
  for (let m = 0; m < outputs; m++)
    for (let c = 0; c < inputs; c++)
      for (let w = 0; w < window; w++) result[(c * outputs + m) * window + w] = data[(m * inputs + c) * window + w] as number;
  return { dims: [inputs, outputs, window], data: result };
}

/** Rows that one forward pass multiplies by the weight, for one sample; steps of a sequence and positions of an image count. */
export function rowsOf(graph: Graph, { node, kind }: ReplaceableLayer): number {
  if (kind === 'convolution') return elementCount(sizesOf(graph, node.outputs[0]).slice(2));
  return elementCount(sizesOf(graph, node.inputs[0]).slice(0, -1));
}

/** Spatial sizes of a convolution's input. */
export const spatialOf = (graph: Graph, { node }: ReplaceableLayer): readonly number[] => sizesOf(graph, node.inputs[0]).slice(2);

/** Sizes of a value for one sample, with 1 for what is not known. */
function sizesOf(graph: Graph, value = ''): number[] {
  const single = new Map(graph.inputs.map((input) => [input.name, (input.shape ?? []).map((d) => (typeof d === 'number' ? d : 1))]));
  const shape = inferShapes(graph, single).types.get(value)?.shape ?? [];
  return shape.map((d) => (typeof d === 'number' ? d : 1));
}

/** Spatial sizes of a convolution's window. */
export const windowOf = (graph: Graph, { node, weight }: ReplaceableLayer): readonly number[] =>
  intsOf(node, 'kernel_shape') ?? (graph.initializers.get(weight)?.dims.slice(2) as number[]);

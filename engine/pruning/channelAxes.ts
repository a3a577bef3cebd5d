import { type Graph, type Node, intOf, intsOf } from '../graph/graph';
import { numbersOf } from '../graph/tensor';
import { carrierOf, commonFactors, factorRuns } from '../ops/reshapeFactors';
import { normaliseAxis } from '../ops/shapeHelpers';

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Operators of images whose output has its channels along axis 1 (ONNX is channels-first). */
const IMAGE = /^(Conv|ConvTranspose|BatchNormalization|InstanceNormalization|GroupNormalization|LRN|.*Pool|DepthToSpace|SpaceToDepth)$/;
const RESHAPE = /^(Reshape|Flatten|Squeeze|Unsqueeze)$/;

/**
 * The axis along which each value has its channels, where it can be told: axis 1 behind a convolution, the last behind a product
 * with a weight and a recurrent layer, and wherever transposes, reshapes and reductions carry it. Files of channels-last frameworks need it: there the
 * channels are the last of the axes that a flattening merges.
 */
export function channelAxes(graph: Graph, shapes: Shapes): Map<string, number> {
  const axes = new Map<string, number>();
  for (const node of graph.nodes)
    for (const output of node.outputs) {
      const axis = outputAxis(node, output, graph, shapes, axes);
      if (axis !== undefined) axes.set(output, axis);
    }
  return axes;
}

function outputAxis(node: Node, output: string, graph: Graph, shapes: Shapes, axes: ReadonlyMap<string, number>): number | undefined {
  const shape = shapes.get(output);
  if (!shape) return undefined;
  if (IMAGE.test(node.op)) return 1;
  if (/^(LSTM|GRU|RNN)$/.test(node.op)) return shape.length - 1;
  if (/^(Gemm|MatMul)$/.test(node.op) && graph.initializers.has(node.inputs[1] ?? '')) return shape.length - 1;
  const source = node.inputs.find((name) => axes.has(name));
  const [axis, from] = [axes.get(source ?? ''), shapes.get(source ?? '')];
  if (axis === undefined || !from) return undefined;
  if (node.op === 'Transpose') return intsOf(node, 'perm')?.indexOf(axis);
  if (RESHAPE.test(node.op)) return afterReshape(from, shape, axis);
  if (node.op.startsWith('Reduce')) return afterReduction(node, graph, from.length, axis);
  return axis + shape.length - from.length;
}

function afterReshape(from: readonly number[], to: readonly number[], axis: number): number | undefined {
  const run = factorRuns(commonFactors(from, to) ?? []).find((factors) => factors.some((f) => f.input === axis));
  return run && carrierOf(run, from, to, axis)?.output;
}

function afterReduction(node: Node, graph: Graph, rank: number, axis: number): number | undefined {
  const tensor = graph.initializers.get(node.inputs[1] ?? '');
  const reduced = (intsOf(node, 'axes') ?? (tensor && numbersOf(tensor)))?.map((a) => normaliseAxis(a, rank));
  if (!reduced || reduced.includes(axis)) return undefined;
  return intOf(node, 'keepdims', 1) === 1 ? axis : axis - reduced.filter((a) => a < axis).length;
}

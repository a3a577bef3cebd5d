import { type AttributeValue, type Graph, type Node, copyGraph, floatOf, intOf } from '../../graph/graph';
import { float32, int64 } from '../../graph/tensor';
import { inferShapes } from '../../ops/inferShapes';

/** The graph with what the WebGPU provider refuses or lacks put into operators that it has. */
export function inWebGpuForms(graph: Graph): Graph {
  if (!graph.nodes.some((node) => isTrainingNorm(node) || isFusedProduct(node) || node.op === 'LogSoftmax')) return graph;
  const result = copyGraph(graph);
  const { types } = inferShapes(graph);
  const rankOf = (value = ''): number | undefined => types.get(value)?.shape?.length;
  result.nodes = result.nodes.flatMap((node) => {
    const rank = rankOf(node.inputs[0]);
    if (isTrainingNorm(node) && rank !== undefined) return batchStatistics(result, node, rank);
    if (node.op === 'LogSoftmax' && hasAxesAttribute(graph)) return logSoftmax(result, node);
    if (isFusedProduct(node)) return plainProduct(result, node, rank, rankOf(node.inputs[1])) ?? [node];
    return [node];
  });
  return result;
}

/** Nodes whose kernel the provider offers but that it then refuses to run: they are kept on the processor. */
export const refusedByWebGpu = (graph: Graph): string[] =>
  graph.nodes.filter((node) => node.op === 'MaxPool' && Boolean(node.outputs[1])).map(({ name }) => name);

const isFusedProduct = (node: Node): boolean => node.op === 'FusedMatMul' && node.domain === 'com.microsoft';

const make = (op: string, inputs: string[], output: string, attributes: [string, AttributeValue][] = []): Node => ({
  name: output,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes: new Map(attributes),
});

/** Reductions but the sum take their axes as an attribute, and LogSoftmax works over one axis. */
function hasAxesAttribute({ opsets }: Graph): boolean {
  const opset = opsets.get('') ?? 1;
  return opset >= 13 && opset < 18;
}

/** x - max - log(sum(exp(x - max))). The provider has no kernel for it, and a step would wait for the processor in its middle. */
function logSoftmax(graph: Graph, node: Node): Node[] {
  const [x = '', output = ''] = [node.inputs[0], node.outputs[0]];
  const axis = intOf(node, 'axis', -1);
  const inner = (part: string): string => `${node.name}/webgpu/${part}`;
  const axes = inner('axes');
  graph.initializers.set(axes, int64([1], [axis]));
  const keep: [string, AttributeValue] = ['keepdims', { kind: 'int', value: 1 }];
  return [
    make('ReduceMax', [x], inner('largest'), [['axes', { kind: 'ints', value: [axis] }], keep]),
    make('Sub', [x, inner('largest')], inner('shifted')),
    make('Exp', [inner('shifted')], inner('exponentials')),
    make('ReduceSum', [inner('exponentials'), axes], inner('sum'), [keep]),
    make('Log', [inner('sum')], inner('logarithm')),
    make('Sub', [inner('shifted'), inner('logarithm')], output),
  ];
}

/** Transposes, product and factor one after another; undefined where a rank is not known. */
function plainProduct(graph: Graph, node: Node, ...ranks: (number | undefined)[]): Node[] | undefined {
  const output = node.outputs[0] ?? '';
  const added: Node[] = [];
  const operands: string[] = [];
  for (const [i, flag] of ['transA', 'transB'].entries()) {
    const [name = '', rank] = [node.inputs[i], ranks[i]];
    const turned = intOf(node, flag, 0) === 1 && rank !== 1;
    if (turned && rank === undefined) return undefined;
    const perm = Array.from({ length: rank ?? 0 }, (_, axis) => (axis < (rank ?? 0) - 2 ? axis : 2 * (rank ?? 0) - 3 - axis));
    operands.push(turned ? `${output}/webgpu/${flag}` : name);
    if (turned) added.push(make('Transpose', [name], `${output}/webgpu/${flag}`, [['perm', { kind: 'ints', value: perm }]]));
  }
  const alpha = floatOf(node, 'alpha', 1);
  if (alpha === 1) return [...added, make('MatMul', operands, output)];
  const factor = `${output}/webgpu/alpha`;
  graph.initializers.set(factor, float32([], [alpha]));
  return [...added, make('MatMul', operands, `${output}/webgpu/product`), make('Mul', [`${output}/webgpu/product`, factor], output)];
}

/** Batch norm whose running statistics do not move (momentum 0), as training graphs have it. */
const isTrainingNorm = (node: Node): boolean =>
  node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1 && node.attributes.get('momentum')?.kind === 'float';

/** Mean and variance by two reductions, then batch norm with these as its constants. */
function batchStatistics(graph: Graph, node: Node, rank: number): Node[] {
  const [x = '', scale = '', bias = ''] = node.inputs;
  const [y = '', meanName, varianceName] = node.outputs;
  const mean = meanName || `${node.name}/webgpu/mean`;
  const variance = varianceName || `${node.name}/webgpu/variance`;
  const inner = (part: string): string => `${node.name}/webgpu/${part}`;
  const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 1);
  const axesName = `webgpu/axes_${rank}`;
  graph.initializers.set(axesName, int64([axes.length], axes));
  const over = (keep: number): [string, AttributeValue][] => [
    ['axes', { kind: 'ints', value: axes }],
    ['keepdims', { kind: 'int', value: keep }],
  ];
  const attributes = new Map(node.attributes);
  attributes.delete('training_mode');
  attributes.delete('momentum');
  return [
    make('ReduceMean', [x], inner('column'), over(1)),
    make('Squeeze', [inner('column'), axesName], mean),
    make('Sub', [x, inner('column')], inner('centred')),
    make('Mul', [inner('centred'), inner('centred')], inner('square')),
    make('ReduceMean', [inner('square')], variance, over(0)),
    { ...node, inputs: [x, scale, bias, mean, variance], outputs: [y], attributes },
  ];
}

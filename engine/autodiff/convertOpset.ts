import { SurgeryError } from '../graph/errors';
import { type AttributeValue, type Graph, type Node, copyGraph, intOf } from '../graph/graph';
import { type Tensor, float32, int64, numbersOf } from '../graph/tensor';

/** The opset in which training graphs are written. */
export const TRAINING_OPSET = 17;

/**
 * The same graph in the forms of opset 17: attributes that became inputs are moved (Squeeze, ReduceSum, Split, Pad, Clip,
 * Slice, Dropout, Upsample), inputs that became inputs only later are moved back (ReduceMean axes of opset 18).
 * Throws SurgeryError 'operator-unsupported' for what opset 17 cannot say.
 */
export function convertToTrainingOpset(graph: Graph): Graph {
  const from = graph.opsets.get('') ?? 1;
  if (from === TRAINING_OPSET) return graph;
  const result = copyGraph(graph);
  result.opsets.set('', TRAINING_OPSET);
  const convert = from < TRAINING_OPSET ? upgrade : downgrade;
  result.nodes = result.nodes.flatMap((node) => (node.domain === '' || node.domain === 'ai.onnx' ? convert(node, result, from) : [node]));
  return result;
}

function upgrade(node: Node, graph: Graph, from: number): Node[] {
  switch (node.op) {
    case 'Squeeze':
    case 'Unsqueeze':
    case 'ReduceSum':
      if (from < 13) attributeToInput(node, graph, 1, 'axes');
      return [node];
    case 'Split':
      if (from < 13) attributeToInput(node, graph, 1, 'split');
      return [node];
    case 'Pad':
      if (from < 11) padToInputs(node, graph);
      return [node];
    case 'Clip':
      if (from < 11) clipToInputs(node, graph);
      return [node];
    case 'Slice':
      if (from < 10) ['starts', 'ends', 'axes'].forEach((name, i) => attributeToInput(node, graph, i + 1, name));
      return [node];
    case 'TopK':
      if (from < 10) attributeToInput(node, graph, 1, 'k');
      return [node];
    case 'Dropout':
      node.attributes.delete('ratio');
      return [node];
    case 'BatchNormalization':
      node.outputs = node.outputs.slice(0, 1);
      ['spatial', 'is_test', 'consumed_inputs', 'training_mode'].forEach((name) => node.attributes.delete(name));
      return [node];
    case 'Softmax':
    case 'LogSoftmax':
    case 'Hardmax':
      return from < 13 ? flattenedSoftmax(node, graph) : [node];
    case 'Upsample':
      return [upsampleToResize(node, graph)];
    case 'Resize':
      if (from < 11) return [upsampleToResize(node, graph)];
      return [node];
    default:
      return [node];
  }
}

const REDUCTIONS = new Set([
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceProd',
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceSumSquare',
]);
/** Operators that opset 17 does not have. */
const NEWER = new Set([
  'Gelu',
  'Mish',
  'GroupNormalization',
  'RMSNormalization',
  'Swish',
  'Attention',
  'RotaryEmbedding',
  'Col2Im',
  'BitwiseAnd',
]);

function downgrade(node: Node, graph: Graph, from: number): Node[] {
  if (NEWER.has(node.op))
    throw new SurgeryError(
      'operator-unsupported',
      `Node ${node.name}: operator ${node.op} is of opset ${from}; training graphs are of opset ${TRAINING_OPSET}`,
    );
  if (REDUCTIONS.has(node.op) && node.inputs.length > 1) inputToAttribute(node, graph, 1, 'axes');
  if (node.op === 'Split' && node.attributes.has('num_outputs')) node.attributes.delete('num_outputs');
  if (node.op === 'Pad' && node.inputs[3])
    throw new SurgeryError(
      'operator-unsupported',
      `Node ${node.name} (Pad): pads along chosen axes (opset 18) cannot be trained; export with opset ${TRAINING_OPSET}`,
    );
  for (const name of ['antialias', 'axes', 'keep_aspect_ratio_policy']) if (node.op === 'Resize') node.attributes.delete(name);
  if (node.op === 'Cast') ['saturate', 'round_mode'].forEach((name) => node.attributes.delete(name));
  if (node.op === 'AveragePool') node.attributes.delete('dilations');
  return [node];
}

function attributeToInput(node: Node, graph: Graph, position: number, name: string): void {
  const attribute = node.attributes.get(name);
  node.attributes.delete(name);
  if (!attribute) return;
  const values = attribute.kind === 'ints' ? attribute.value : attribute.kind === 'int' ? [attribute.value] : [];
  setInput(node, graph, position, name, int64([values.length], values));
}

function setInput(node: Node, graph: Graph, position: number, name: string, tensor: Tensor): void {
  const key = `${node.name}/${name}`;
  graph.initializers.set(key, tensor);
  while (node.inputs.length < position) node.inputs.push('');
  node.inputs[position] = key;
}

function inputToAttribute(node: Node, graph: Graph, position: number, name: string): void {
  const input = node.inputs[position];
  node.inputs = node.inputs.slice(0, position);
  if (!input) return;
  const tensor = graph.initializers.get(input);
  if (!tensor) throw new SurgeryError('operator-unsupported', `Node ${node.name} (${node.op}): ${name} must be constant`);
  node.attributes.set(name, { kind: 'ints', value: numbersOf(tensor) });
}

function padToInputs(node: Node, graph: Graph): void {
  const value = node.attributes.get('value');
  attributeToInput(node, graph, 1, 'pads');
  node.attributes.delete('value');
  if (value?.kind === 'float') setInput(node, graph, 2, 'value', float32([], [value.value]));
}

function clipToInputs(node: Node, graph: Graph): void {
  ['min', 'max'].forEach((name, i) => {
    const attribute = node.attributes.get(name);
    node.attributes.delete(name);
    if (attribute?.kind === 'float') setInput(node, graph, i + 1, name, float32([], [attribute.value]));
  });
}

/** Before opset 13 softmax worked on the input flattened to two dimensions at `axis` (default 1). */
function flattenedSoftmax(node: Node, graph: Graph): Node[] {
  const axis = intOf(node, 'axis', 1);
  const [input, output] = [node.inputs[0] ?? '', node.outputs[0] ?? ''];
  const rank = graph.valueInfo.get(output)?.shape?.length ?? graph.outputs.find((o) => o.name === output)?.shape?.length;
  if (axis === -1 || rank === axis + 1) {
    node.attributes.set('axis', { kind: 'int', value: -1 });
    return [node];
  }
  const [flat, soft, shape] = [`${node.name}/flat`, `${node.name}/softmax`, `${node.name}/shape`];
  return [
    makeNode(`${node.name}/Shape`, 'Shape', [input], [shape]),
    makeNode(`${node.name}/Flatten`, 'Flatten', [input], [flat], new Map([['axis', { kind: 'int', value: axis }]])),
    { ...node, inputs: [flat], outputs: [soft], attributes: new Map([['axis', { kind: 'int', value: -1 }]]) },
    makeNode(`${node.name}/Reshape`, 'Reshape', [soft, shape], [output]),
  ];
}

function upsampleToResize(node: Node, graph: Graph): Node {
  const scales = node.attributes.get('scales');
  const inputs = [node.inputs[0] ?? '', '', node.inputs[1] ?? ''];
  const mode = node.attributes.get('mode') ?? { kind: 'string', value: 'nearest' };
  const attributes = new Map<string, AttributeValue>([
    ['mode', mode],
    ['coordinate_transformation_mode', { kind: 'string', value: 'asymmetric' }],
    ['nearest_mode', { kind: 'string', value: 'floor' }],
  ]);
  const result: Node = { ...node, op: 'Resize', inputs, attributes };
  if (scales?.kind === 'floats') setInput(result, graph, 2, 'scales', float32([scales.value.length], scales.value));
  return result;
}

const makeNode = (name: string, op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = new Map()): Node => ({
  name,
  op,
  domain: '',
  inputs,
  outputs,
  attributes,
});

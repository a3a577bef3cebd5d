import { isKnown, sameDim } from '../graph/dims';
import { type Graph, type Node, copyGraph, producersOf } from '../graph/graph';
import { type Tensor, float32, int64, numbersOf } from '../graph/tensor';
import type { InferredTypes } from './inferShapes';

/**
 * The same network with Constant nodes and shape arithmetic whose result is known turned into initializers, and without the
 * nodes that nobody reads any more. Arithmetic on a symbolic batch stays.
 */
export function foldConstants(graph: Graph, inferred: InferredTypes): Graph {
  const result = copyGraph(graph);
  result.nodes = result.nodes.filter((node) => !foldNode(node, result, inferred));
  for (const node of result.nodes) if (node.op === 'Reshape') fixReshape(node, result, inferred);
  dropZeroStates(result);
  removeUnread(result);
  return result;
}

function foldNode(node: Node, graph: Graph, inferred: InferredTypes): boolean {
  const [output] = node.outputs;
  if (!output || node.outputs.length !== 1 || graph.outputs.some((o) => o.name === output)) return false;
  const tensor = node.op === 'Constant' ? constantTensor(node) : (passedOn(node, graph) ?? knownTensor(output, inferred));
  if (!tensor) return false;
  graph.initializers.set(output, tensor);
  return true;
}

/** A target shape with a symbolic batch is constant too: 0 takes the dimension of the input, -1 what is left. */
function fixReshape(node: Node, graph: Graph, inferred: InferredTypes): void {
  const [input = '', target = ''] = node.inputs;
  const elements = graph.initializers.has(target) ? undefined : inferred.known.get(target)?.elements;
  const shape = inferred.types.get(input)?.shape;
  if (!elements || elements.includes(0)) return;
  const fixed = elements.map((e, i) => (isKnown(e) ? e : shape && sameDim(shape[i] ?? '?', e) ? 0 : -1));
  if (fixed.filter((e) => e === -1).length > 1) return;
  const name = `${node.name}/shape`;
  graph.initializers.set(name, int64([fixed.length], fixed));
  node.inputs[1] = name;
}

const RECURRENT = /^(LSTM|GRU|RNN)$/;
const REARRANGES = /^(Slice|Expand|Reshape|Squeeze|Unsqueeze|Transpose|Identity|Gather|Split)$/;

/** Exporters write the initial states of zeros out; a recurrent operator has them when none are given. */
function dropZeroStates(graph: Graph): void {
  if (!graph.nodes.some((node) => RECURRENT.test(node.op))) return;
  const producers = producersOf(graph);
  const isZero = (value: string): boolean => {
    const tensor = graph.initializers.get(value);
    if (tensor) return !graph.inputs.some((i) => i.name === value) && numbersOf(tensor).every((v) => v === 0);
    const node = producers.get(value);
    if (node?.op === 'ConstantOfShape') {
      const fill = node.attributes.get('value');
      return fill?.kind !== 'tensor' || numbersOf(fill.value).every((v) => v === 0);
    }
    return node !== undefined && REARRANGES.test(node.op) && isZero(node.inputs[0] ?? '');
  };
  for (const node of graph.nodes)
    if (RECURRENT.test(node.op)) {
      node.inputs = node.inputs.map((name, i) => ((i === 5 || i === 6) && name && isZero(name) ? '' : name));
      while (node.inputs.at(-1) === '') node.inputs.pop();
    }
}

function constantTensor(node: Node): Tensor | undefined {
  for (const attribute of node.attributes.values()) {
    if (attribute.kind === 'tensor') return attribute.value;
    if (attribute.kind === 'int') return int64([], [attribute.value]);
    if (attribute.kind === 'ints') return int64([attribute.value.length], attribute.value);
    if (attribute.kind === 'float') return float32([], [attribute.value]);
    if (attribute.kind === 'floats') return float32([attribute.value.length], attribute.value);
  }
  return undefined;
}

/** PyTorch's exporter shares equal weights through Identity. */
const passedOn = (node: Node, graph: Graph): Tensor | undefined =>
  node.op === 'Identity' ? graph.initializers.get(node.inputs[0] ?? '') : undefined;

function knownTensor(output: string, inferred: InferredTypes): Tensor | undefined {
  const known = inferred.known.get(output);
  if (!known || inferred.types.get(output)?.type !== 'int64' || !known.elements.every((e) => isKnown(e) && Number.isInteger(e)))
    return undefined;
  return int64(known.dims, known.elements as number[]);
}

function removeUnread(graph: Graph): void {
  const read = new Set(graph.outputs.map((o) => o.name));
  const kept = [...graph.nodes].reverse().filter((node) => {
    if (!node.outputs.some((o) => read.has(o))) return false;
    for (const name of namesIn(node)) read.add(name);
    return true;
  });
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys())
    if (!read.has(name) && !graph.inputs.some((i) => i.name === name)) graph.initializers.delete(name);
}

/** Inputs of a node and whatever its subgraphs may read from outside. */
function namesIn(node: Node): string[] {
  const inner = [...node.attributes.values()].flatMap((a) =>
    a.kind === 'graph' ? [...a.value.nodes.flatMap(namesIn), ...a.value.outputs.map((o) => o.name)] : [],
  );
  return [...node.inputs, ...inner];
}

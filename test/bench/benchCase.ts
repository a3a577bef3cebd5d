import { createModel } from '../../engine/architectures/createModel';
import { type ContractionTree, findContractionPath } from '../../engine/decomposition/contractionPath';
import { blockTermNetwork, blockTermShape } from '../../engine/decomposition/layerForms';
import { balancedModes } from '../../engine/decomposition/modes';
import { DATA, type TensorNetwork, sizesOf } from '../../engine/decomposition/tensorNetwork';
import type { Graph } from '../../engine/graph/graph';
import { Random } from '../../engine/graph/random';
import { type Tensor, elementCount, float32, int64 } from '../../engine/graph/tensor';

const CLASSES = 10;
export const HIDDEN = 256;
const [MODES, RANK, BLOCKS, GATES] = [4, 4, 2, 4];

/** A network, a batch and the shape of a sample, written network:batch:size, size being 32 (an image), 1x28x28 or 16x256 (steps, features). */
export interface BenchCase {
  readonly name: string;
  readonly network: string;
  readonly batch: number;
  readonly input: readonly number[];
}

export function parseCase(name: string): BenchCase {
  const [network = '', batch = '1', size = '32'] = name.split(':');
  const sizes = size.split('x').map(Number);
  return { name, network, batch: Number(batch), input: sizes.length === 1 ? [3, ...sizes, ...sizes] : sizes };
}

export const networkOf = ({ network, input }: BenchCase): Graph =>
  createModel(network, { input, classes: CLASSES, shortcut: 'conv', hidden: HIDDEN, rank: RANK, blocks: BLOCKS, seed: 1 });

export function batchOf(batch: number, input: readonly number[]): { x: Tensor; y: Tensor } {
  const random = new Random(1);
  const dims = [batch, ...input];
  const x = float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );
  return {
    x,
    y: int64(
      [batch],
      Array.from({ length: batch }, (_, i) => i % CLASSES),
    ),
  };
}

/** The contraction of a block-term projection as pairwise einsums, for PyTorch to do in the same order. */
export interface EinsumProgram {
  readonly dims: Readonly<Record<string, readonly number[]>>;
  readonly modes: readonly number[];
  readonly steps: readonly { readonly equation: string; readonly left: string; readonly right: string; readonly result: string }[];
}

export function einsumOf({ network, batch, input }: BenchCase): EinsumProgram | undefined {
  const [steps = 1, features = 1] = input;
  if (!network.startsWith('bt-')) return undefined;
  const inputModes = balancedModes(features, MODES);
  const [first = 1, ...rest] = balancedModes(HIDDEN, MODES).reverse();
  const net = blockTermNetwork(blockTermShape(inputModes, [first * GATES, ...rest], RANK, BLOCKS), batch * steps);
  return {
    dims: Object.fromEntries(net.tensors.filter((t) => t.name !== DATA).map((t) => [t.name, sizesOf(net, t.indices)])),
    modes: inputModes,
    steps: pairwise(net, findContractionPath(net).tree),
  };
}

function pairwise(net: TensorNetwork, tree: ContractionTree): EinsumProgram['steps'] {
  const letters = new Map([...net.sizes.keys()].map((index, i) => [index, String.fromCharCode(97 + i)]));
  const word = (indices: readonly string[]): string => indices.map((i) => letters.get(i)).join('');
  const steps: EinsumProgram['steps'][number][] = [];
  const visit = (node: ContractionTree, isRoot: boolean): { name: string; indices: readonly string[] } => {
    if ('tensor' in node) return { name: node.tensor, indices: net.tensors.find((t) => t.name === node.tensor)?.indices ?? [] };
    const [left, right] = [visit(node.left, false), visit(node.right, false)];
    const indices = isRoot ? net.output : node.indices;
    const result = `t${steps.length}`;
    steps.push({
      equation: `${word(left.indices)},${word(right.indices)}->${word(indices)}`,
      left: left.name,
      right: right.name,
      result,
    });
    return { name: result, indices };
  };
  visit(tree, true);
  return steps;
}

import { type Node, consumersOf, intOf } from '../../graph/graph';
import { numbersOf } from '../../graph/tensor';
import type { GraphBuilder } from '../../ops/graphBuilder';
import { type BlockedConv, blockedConvOf } from './sizes';
import { hasPhases } from './inputGradient';
import type { Rectifier } from './unit';

/** Nodes of the plain network that one unit replaces, found by `findUnits`. */
export interface UnitPlan {
  /** In order; the unit is emitted where the last one stands. */
  readonly nodes: readonly Node[];
  readonly conv?: { readonly node: Node; readonly sizes: BlockedConv };
  readonly norm?: Node;
  /** The other operand of the addition. */
  readonly residual?: string;
  readonly rectifier?: Rectifier;
}

export interface UnitSearch {
  readonly plain: GraphBuilder;
  readonly nodes: readonly Node[];
  readonly block: number;
  /** Values that gradients are wanted for. */
  readonly wanted: ReadonlySet<string>;
  /** Values that must be there in plain form. */
  readonly kept: ReadonlySet<string>;
}

/** Blocked form of dense weights may take this many times the multiply-accumulates before plain kernels are faster. */
const MOST_PADDING = 3;

/** Stretches of convolution, batch norm, addition and rectifier, by each of their nodes. */
export function findUnits(search: UnitSearch): Map<Node, UnitPlan> {
  const { plain, nodes, kept } = search;
  const readers = consumersOf(plain.graph);
  const found = new Map<Node, UnitPlan>();
  const ownLeaf = (name: string | undefined): boolean => !name || (plain.producer(name) === undefined && readers.get(name)?.length === 1);
  /** The only reader of a value, when it belongs to no unit yet. */
  const next = (value: string, op: string): Node | undefined => {
    const list = readers.get(value) ?? [];
    const reader = list[0];
    return list.length === 1 && reader?.op === op && !kept.has(value) && !found.has(reader) ? reader : undefined;
  };
  const normAt = (node: Node | undefined): Node | undefined =>
    node &&
    isTrainingNorm(node) &&
    plain.shape(node.inputs[0] ?? '').length === 4 &&
    [...node.inputs.slice(1, 3), ...runningStatistics(plain, node)].every(ownLeaf)
      ? node
      : undefined;

  for (const start of nodes) {
    if (found.has(start)) continue;
    const sizes = start.op === 'Conv' && start.inputs.slice(1).every(ownLeaf) ? convSizes(search, start) : undefined;
    const startsWithNorm = start.op === 'BatchNormalization' && normAt(start) !== undefined;
    if (!sizes && !startsWithNorm) continue;
    const chain = [start];
    const tail = (): string => chain.at(-1)?.outputs[0] ?? '';
    const norm = startsWithNorm ? start : normAt(next(tail(), 'BatchNormalization'));
    if (norm && norm !== start) chain.push(norm);
    const addition = next(tail(), 'Add');
    const residual = addition && residualOf(plain, addition, tail());
    if (addition && residual) chain.push(addition);
    const rectified = rectifierAt(plain, next(tail(), 'Relu') ?? next(tail(), 'Clip'));
    if (rectified) chain.push(rectified.node);
    const plan: UnitPlan = {
      nodes: chain,
      ...(sizes ? { conv: { node: start, sizes } } : {}),
      norm,
      residual,
      rectifier: rectified?.rectifier,
    };
    chain.forEach((node) => found.set(node, plan));
  }
  return found;
}

/** The running mean and variance of a batch norm in training form, which is given scaled copies. */
export const runningStatistics = (plain: GraphBuilder, norm: Node): string[] =>
  norm.inputs.slice(3, 5).map((name) => plain.producer(name)?.inputs[0] ?? name);

const isTrainingNorm = (node: Node): boolean => node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1;

function convSizes({ plain, block, wanted }: UnitSearch, node: Node): BlockedConv | undefined {
  const [x = '', w = ''] = node.inputs;
  const [inShape, weight] = [plain.shape(x), plain.shape(w)];
  const sizes = blockedConvOf(node, inShape, weight, plain.shape(node.outputs[0] ?? ''), block, !wanted.has(x));
  if (!sizes || sizes.output[0] * sizes.output[1] === 1 || (sizes.stride === 2 && wanted.has(x) && !hasPhases(sizes))) return undefined;
  const ratio = (sizes.filters / (weight[0] ?? 1)) * (sizes.channels / (inShape[1] ?? 1));
  return ratio <= MOST_PADDING ? sizes : undefined;
}

/** The operand of an addition that is not `value`, when both have one shape. */
function residualOf(plain: GraphBuilder, addition: Node, value: string): string | undefined {
  const other = addition.inputs.find((name) => name !== value);
  return other !== undefined && plain.shape(other).join() === plain.shape(value).join() ? other : undefined;
}

function rectifierAt(plain: GraphBuilder, node: Node | undefined): { node: Node; rectifier: Rectifier } | undefined {
  if (!node) return undefined;
  if (node.op === 'Relu') return { node, rectifier: { max: Infinity } };
  const bound = (i: number): number | undefined => {
    const tensor = plain.constantOf(node.inputs[i] ?? '');
    return tensor && numbersOf(tensor)[0];
  };
  const max = bound(2);
  return bound(1) === 0 && max !== undefined && max > 0 ? { node, rectifier: { max } } : undefined;
}

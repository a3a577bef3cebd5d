import { type Node, consumersOf, intOf } from '../../graph/graph';
import { numbersOf } from '../../graph/tensor';
import type { GraphBuilder } from '../../ops/graphBuilder';
import { type BlockedConv, blockedConvOf, channelsPerGroup } from './sizes';
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
  /** Values that must be there by themselves, not inside of a unit. */
  readonly visible: ReadonlySet<string>;
}

/**
 * Blocked form of dense weights may take this many times the multiply-accumulates before plain kernels are faster, and that of merged groups so
 * many, because plain kernels are slow at small groups (measured: test/bench/groupedSteps.ts).
 */
const MOST_PADDING = 3;
const MOST_MERGING = 16;

/** Stretches of convolution, batch norm, addition and rectifier, by each of their nodes. */
export function findUnits(search: UnitSearch): Map<Node, UnitPlan> {
  const { plain, nodes, visible } = search;
  const readers = consumersOf(plain.graph);
  const found = new Map<Node, UnitPlan>();
  const sizesOf = new Map(nodes.map((node) => [node, node.op === 'Conv' ? convSizes(search, node) : undefined]));
  /** A weight of several convolutions lies in one form when all of them want the same. */
  const ownWeight = (name: string): boolean => {
    const kinds = (readers.get(name) ?? []).map((reader) => (reader.inputs.indexOf(name) === 1 ? sizesOf.get(reader)?.kind : undefined));
    return plain.producer(name) === undefined && kinds.length > 0 && kinds.every((kind) => kind !== undefined && kind === kinds[0]);
  };
  /** The only reader of a value, when it belongs to no unit yet. */
  const next = (value: string, op: string): Node | undefined => {
    const list = readers.get(value) ?? [];
    const reader = list[0];
    return list.length === 1 && reader?.op === op && !visible.has(value) && !found.has(reader) ? reader : undefined;
  };
  const normAt = (node: Node | undefined): Node | undefined => (node && plain.shape(node.inputs[0] ?? '').length === 4 ? node : undefined);

  for (const start of nodes) {
    if (found.has(start)) continue;
    const sizes = ownWeight(start.inputs[1] ?? '') ? sizesOf.get(start) : undefined;
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

export const isTrainingNorm = (node: Node): boolean => intOf(node, 'training_mode', 0) === 1;

/** Whether a value is an input or initializer that only one node reads, so that it can lie in another form. */
export const isOwnLeaf = (plain: GraphBuilder, readers: ReadonlyMap<string, readonly Node[]>, name: string): boolean =>
  plain.producer(name) === undefined && readers.get(name)?.length === 1;

function convSizes({ plain, block, wanted }: UnitSearch, node: Node): BlockedConv | undefined {
  const [x = '', w = ''] = node.inputs;
  const [inShape, weight] = [plain.shape(x), plain.shape(w)];
  const sizes = blockedConvOf(node, inShape, weight, plain.shape(node.outputs[0] ?? ''), block, !wanted.has(x));
  if (!sizes || sizes.output[0] * sizes.output[1] === 1 || (sizes.stride === 2 && wanted.has(x) && !hasPhases(sizes))) return undefined;
  const ratio = (sizes.filters * channelsPerGroup(sizes)) / ((weight[0] ?? 1) * (weight[1] ?? 1));
  return ratio <= (sizes.merged > 1 ? MOST_MERGING : MOST_PADDING) ? sizes : undefined;
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

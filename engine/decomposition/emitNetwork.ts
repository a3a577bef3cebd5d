import { elementCount } from '../graph/tensor';
import type { Emitter } from '../ops/opRecord';
import type { ContractionTree } from './contractionPath';
import { BATCH, DATA, type TensorNetwork, sizesOf } from './tensorNetwork';

/** A value and the order of the axes it holds, whatever shape it has at the moment. */
interface Laid {
  readonly value: string;
  readonly order: readonly string[];
}

/** How one product is written: data on the left or on the right of the MatMul. */
type Side = 'left' | 'right';

/** Axes of a product by their part in it. */
interface Roles {
  readonly both: readonly string[];
  readonly summed: readonly string[];
}

/**
 * Emits a contraction as Reshape, Transpose and MatMul. The batch may be symbolic: it is the dimension that Reshape works out.
 *
 * @param values value by tensor name; the data must hold [b, ...] in any shape of that order
 * @returns the result as a matrix [b, everything else], or as the output's axes when the network has no data
 */
export function emitNetwork(
  emitter: Emitter,
  network: TensorNetwork,
  tree: ContractionTree,
  values: ReadonlyMap<string, string>,
  name: string,
): string {
  const writer = new NetworkWriter(emitter, network, values, name);
  const sides = chooseSides(network, tree);
  return writer.finish(writer.write(tree, sides));
}

const isData = (tree: ContractionTree): boolean => ('tensor' in tree ? tree.tensor === DATA : isData(tree.left) || isData(tree.right));

const rolesOf = (a: readonly string[], b: readonly string[], result: readonly string[]): Roles => {
  const shared = a.filter((index) => b.includes(index));
  return { both: shared.filter((i) => result.includes(i)), summed: shared.filter((i) => !result.includes(i)) };
};

/** Order of axes that a side of a MatMul needs: shared, then rows and columns. */
function sideOrder(order: readonly string[], { both, summed }: Roles, side: Side): string[] {
  const free = order.filter((i) => !both.includes(i) && !summed.includes(i));
  return side === 'left' ? [...both, ...free, ...summed] : [...both, ...summed, ...free];
}

/** The data's part of the roles in the data's own order, so that what is in place stays in place. */
const inOrderOf = (order: readonly string[], roles: Roles): Roles => ({
  both: order.filter((i) => roles.both.includes(i)),
  summed: order.filter((i) => roles.summed.includes(i)),
});

const freeOf = (order: readonly string[], { both, summed }: Roles): string[] =>
  order.filter((i) => !both.includes(i) && !summed.includes(i));

/** The result's axes: shared, rows, columns. */
const resultOrder = (left: readonly string[], right: readonly string[], roles: Roles): string[] => [
  ...roles.both,
  ...freeOf(left, roles),
  ...freeOf(right, roles),
];

/** Products along the way of the data, from the first to the last: the tree of weights that each is multiplied by. */
function dataChain(tree: ContractionTree): { weights: ContractionTree; result: readonly string[] }[] {
  if ('tensor' in tree || !isData(tree)) return [];
  const [data, weights] = isData(tree.left) ? [tree.left, tree.right] : [tree.right, tree.left];
  return [...dataChain(data), { weights, result: tree.indices }];
}

/** The sides that move the fewest elements of data through Transpose, by trying all (two for each product on the data's way). */
function chooseSides(network: TensorNetwork, tree: ContractionTree): Side[] {
  const chain = dataChain(tree);
  const cost = (from: readonly string[], to: readonly string[]): number =>
    sameOrder(network, from, to) ? 0 : elementCount(sizesOf(network, from));
  const search = (step: number, order: readonly string[]): { moved: number; sides: Side[] } => {
    const next = chain[step];
    if (!next) return { moved: cost(order, network.output), sides: [] };
    const roles = inOrderOf(order, rolesOf(order, next.weights.indices, next.result));
    const options = (['left', 'right'] as const).map((side) => {
      const moved = cost(order, sideOrder(order, roles, side));
      const result = side === 'left' ? resultOrder(order, next.weights.indices, roles) : resultOrder(next.weights.indices, order, roles);
      const rest = search(step + 1, result);
      return { moved: moved + rest.moved, sides: [side, ...rest.sides] };
    });
    return options.reduce((a, b) => (b.moved < a.moved ? b : a));
  };
  const data = network.tensors.find((t) => t.name === DATA);
  return data ? search(0, data.indices).sides : [];
}

/** Axes of size one may stand anywhere. */
function sameOrder(network: TensorNetwork, a: readonly string[], b: readonly string[]): boolean {
  const wide = (order: readonly string[]): string => order.filter((i) => i === BATCH || network.sizes.get(i) !== 1).join();
  return wide(a) === wide(b);
}

class NetworkWriter {
  constructor(
    private readonly emitter: Emitter,
    private readonly network: TensorNetwork,
    private readonly values: ReadonlyMap<string, string>,
    private readonly name: string,
  ) {}

  write(tree: ContractionTree, sides: readonly Side[]): Laid {
    if ('tensor' in tree) return { value: this.values.get(tree.tensor) ?? tree.tensor, order: tree.indices };
    if (!isData(tree)) return this.product(this.write(tree.left, []), this.write(tree.right, []), tree.indices, 'left');
    const [data, weights] = isData(tree.left) ? [tree.left, tree.right] : [tree.right, tree.left];
    const before = this.write(data, sides.slice(0, -1));
    return this.product(before, this.write(weights, []), tree.indices, sides.at(-1) ?? 'left');
  }

  /** The axes of `main` decide the order; `main` stands on the given side. */
  private product(main: Laid, other: Laid, result: readonly string[], side: Side): Laid {
    const roles = inOrderOf(main.order, rolesOf(main.order, other.order, result));
    const otherSide = side === 'left' ? 'right' : 'left';
    const a = this.matrix(main, roles, side);
    const b = this.matrix(other, roles, otherSide);
    const [left, right] = side === 'left' ? [a, b] : [b, a];
    const [leftOrder, rightOrder] = side === 'left' ? [main.order, other.order] : [other.order, main.order];
    return { value: this.emit('MatMul', [left, right]), order: resultOrder(leftOrder, rightOrder, roles) };
  }

  /** [shared, rows, columns], or a matrix when nothing is shared. */
  private matrix(laid: Laid, roles: Roles, side: Side): string {
    const free = freeOf(laid.order, roles);
    const groups = side === 'left' ? [free, roles.summed] : [roles.summed, free];
    return this.reshape(this.reorder(laid, sideOrder(laid.order, roles, side)), roles.both.length > 0 ? [roles.both, ...groups] : groups);
  }

  private reorder(laid: Laid, order: readonly string[]): string {
    if (sameOrder(this.network, laid.order, order)) return laid.value;
    const full = this.reshape(
      laid.value,
      laid.order.map((index) => [index]),
    );
    return this.emit('Transpose', [full], { perm: order.map((index) => laid.order.indexOf(index)) });
  }

  private reshape(value: string, groups: readonly (readonly string[])[]): string {
    const dims = groups.map((group) => (group.includes(BATCH) ? -1 : elementCount(sizesOf(this.network, group))));
    return this.emit('Reshape', [value, this.emitter.ints(dims)]);
  }

  finish(laid: Laid): string {
    const { output } = this.network;
    const ordered = this.reorder(laid, output);
    return this.reshape(ordered, output.includes(BATCH) ? [[BATCH], output.slice(1)] : output.map((index) => [index]));
  }

  private emit(op: string, inputs: readonly string[], attributes: Parameters<Emitter['emit']>[2] = {}): string {
    return this.emitter.emit(op, inputs, attributes, { name: `${this.name}/${op}` });
  }
}

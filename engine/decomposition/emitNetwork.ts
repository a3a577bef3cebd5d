import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import type { Emitter } from '../ops/opRecord';
import type { ContractionTree } from './contractionPath';
import { type Passes, type ProductPlan, groupsKept, isData, mainFirst, planProduct, planTree, sameOrder } from './productPlan';
import { BATCH, DATA, type TensorNetwork, sizesOf } from './tensorNetwork';

/** A value and the order of the axes it holds, whatever shape it has at the moment. */
interface Laid {
  readonly value: string;
  readonly order: readonly string[];
}

/**
 * Emits a contraction as Reshape, Transpose and MatMul. The batch may be symbolic: it is the dimension that Reshape works out.
 *
 * @param values value by tensor name; the data must hold [b, ...] in any shape of that order
 * @param passes what the layout of every product is chosen for
 * @returns the result as a matrix [b, everything else], or as the output's axes when the network has no data
 */
export function emitNetwork(
  emitter: Emitter,
  network: TensorNetwork,
  tree: ContractionTree,
  values: ReadonlyMap<string, string>,
  name: string,
  passes: Passes = 'inference',
): string {
  const writer = new NetworkWriter(emitter, network, values, name, passes);
  return writer.finish(writer.write(tree));
}

class NetworkWriter {
  constructor(
    private readonly emitter: Emitter,
    private readonly network: TensorNetwork,
    private readonly values: ReadonlyMap<string, string>,
    private readonly name: string,
    private readonly passes: Passes,
  ) {}

  /** The data meets one part of the weights after the other; how is planned for all of them together. */
  write(tree: ContractionTree): Laid {
    if (!isData(tree)) return this.writeWeights(tree);
    const plan = planTree(this.network, tree, this.passes);
    if (!plan) throw new SurgeryError('internal', 'A contraction has no plan');
    const { weights, chain } = plan;
    const order = this.network.tensors.find((t) => t.name === DATA)?.indices ?? [];
    return weights.reduce<Laid>(
      (laid, part, step) => this.product(laid, this.writeWeights(part), chain[step] as ProductPlan),
      { value: this.values.get(DATA) ?? DATA, order }, // prettier-ignore
    );
  }

  private writeWeights(tree: ContractionTree): Laid {
    if ('tensor' in tree) return { value: this.values.get(tree.tensor) ?? tree.tensor, order: tree.indices };
    const [main, other] = mainFirst(this.network, this.writeWeights(tree.left), this.writeWeights(tree.right));
    return this.product(main, other, planProduct(this.network, main.order, { order: other.order, result: tree.indices }).plan);
  }

  /** [lead, shared, before, summed, after] with [lead, shared, free, summed] gives [lead, shared, before, free, after]. */
  private product(main: Laid, other: Laid, plan: ProductPlan): Laid {
    const { lead, shared, before, summed, free, after } = plan;
    const batch = [lead, shared].filter((group) => group.length > 0);
    const ones = lead.length > 0 ? [[]] : [];
    const rest = shared.length > 0 ? [shared] : [];
    const data = this.reorder(main, [...shared, ...before, ...summed, ...after]);
    if (after.length === 0) {
      const left = this.reshape(data, [...ones, ...rest, before, summed]);
      const right = this.reshape(this.reorder(other, [...lead, ...shared, ...summed, ...free]), [...batch, summed, free]);
      return { value: this.emit('MatMul', [left, right]), order: plan.result };
    }
    const [dataBefore, weightBefore] = before.length > 0 ? [[before], batch.length > 0 ? [[]] : []] : [[], []];
    const left = this.reshape(this.reorder(other, [...lead, ...shared, ...free, ...summed]), [...batch, ...weightBefore, free, summed]);
    const right = this.reshape(data, [...ones, ...rest, ...dataBefore, summed, after]);
    return { value: this.emit('MatMul', [left, right]), order: plan.result };
  }

  private reorder(laid: Laid, order: readonly string[]): string {
    if (sameOrder(this.network, laid.order, order)) return laid.value;
    const groups = groupsKept(this.network, laid.order, order);
    const places = groups.map(([first]) => order.indexOf(first ?? ''));
    const perm = groups.map((_, n) => n).sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
    return this.emit('Transpose', [this.reshape(laid.value, groups)], { perm });
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

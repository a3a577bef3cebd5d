import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import { type ContractionPath, type ContractionTree, contractionCandidates } from './contractionPath';
import { BATCH, DATA, type TensorNetwork, sizesOf } from './tensorNetwork';

/** What one product of a chain meets: the weights' axes as they lie, and the axes of the result. */
export interface Placed {
  readonly order: readonly string[];
  readonly result: readonly string[];
}

/**
 * One product as a MatMul over batches: the main operand as [shared, before, summed, after], the other's free axes where the
 * summed ones were. `lead` are axes of the other operand that go in front, because a later product runs along with them.
 */
export interface ProductPlan {
  readonly lead: readonly string[];
  readonly shared: readonly string[];
  readonly before: readonly string[];
  readonly summed: readonly string[];
  readonly free: readonly string[];
  readonly after: readonly string[];
  readonly result: readonly string[];
}

/** Whether a plan is made for forward passes only, or for training, where every product and every Transpose has its gradient. */
export type Passes = 'inference' | 'training';

/** Nanoseconds on one core: measured coarsely, only their proportions matter. */
const WRITE = 0.6;
export const MAC = 1 / 35;
const CALL = 100;
/** Elements that Transpose moves in runs, or one axis past others; and those it gathers one by one. */
const MOVE_RUNS = 0.7;
const MOVE_SINGLY = 4;
const RUN = 8;
/** Columns of a MatMul below which its kernels are not filled. */
const WIDE = 16;

/** Axes of size one may stand anywhere. */
export function sameOrder(network: TensorNetwork, a: readonly string[], b: readonly string[]): boolean {
  return wideAxes(network, a).join() === wideAxes(network, b).join();
}

const wideAxes = (network: TensorNetwork, order: readonly string[]): string[] =>
  order.filter((i) => i === BATCH || network.sizes.get(i) !== 1);

/** Axes that stay side by side from one order to another, as groups in the first order. */
export function groupsKept(network: TensorNetwork, from: readonly string[], to: readonly string[]): string[][] {
  const groups: string[][] = [];
  const target = wideAxes(network, to);
  for (const index of wideAxes(network, from)) {
    const last = groups.at(-1);
    if (last && target.indexOf(index) === target.indexOf(last.at(-1) ?? '') + 1) last.push(index);
    else groups.push([index]);
  }
  return groups;
}

function moveTime(network: TensorNetwork, from: readonly string[], to: readonly string[]): number {
  const groups = groupsKept(network, from, to);
  if (groups.length < 2) return 0;
  const places = groups.map(([first]) => to.indexOf(first ?? '')).map((place, _, all) => all.filter((p) => p < place).length);
  const inRuns = places.at(-1) === groups.length - 1 && elementCount(sizesOf(network, groups.at(-1) ?? [])) >= RUN;
  return (inRuns || movesOneAxis(places) ? MOVE_RUNS : MOVE_SINGLY) * elementCount(sizesOf(network, from));
}

/** Whether the permutation takes one axis to another place and keeps the order of the rest. */
const movesOneAxis = (places: readonly number[]): boolean =>
  places.some((moved) => {
    const rest = places.filter((p) => p !== moved);
    return rest.every((p, n) => n === 0 || p > (rest[n - 1] as number));
  });

/** How a tree is carried out: the products that the data goes through, and the estimated time of everything. */
export interface TreePlan {
  readonly weights: readonly ContractionTree[];
  readonly chain: readonly ProductPlan[];
  readonly nanoseconds: number;
}

export const isData = (tree: ContractionTree): boolean =>
  'tensor' in tree ? tree.tensor === DATA : isData(tree.left) || isData(tree.right);

/** Plans the products of the data so that all of them, and the order asked for in the end, take little time together; undefined when that is not below `limit`. */
export function planTree(network: TensorNetwork, tree: ContractionTree, passes: Passes, limit = Infinity): TreePlan | undefined {
  const links = dataChain(tree);
  const orders = links.map(({ weights }) => weightOrder(network, weights));
  const data = network.tensors.find((t) => t.name === DATA)?.indices ?? [];
  const steps = links.map(({ result }, n): Placed => ({ order: orders[n]?.order ?? [], result }));
  const found = new ChainSearch(network, steps, passes).run(data, limit);
  if (!found) return undefined;
  const nanoseconds = orders.reduce((sum, weights) => sum + weights.cost, found.cost);
  return { weights: links.map(({ weights }) => weights), chain: found.plans, nanoseconds };
}

/** Products along the way of the data, from the first to the last: the tree of weights that each is multiplied by. */
function dataChain(tree: ContractionTree): { weights: ContractionTree; result: readonly string[] }[] {
  if ('tensor' in tree || !isData(tree)) return [];
  const [data, weights] = isData(tree.left) ? [tree.left, tree.right] : [tree.right, tree.left];
  return [...dataChain(data), { weights, result: tree.indices }];
}

/** The order of axes in which a tree of weights comes out, and its time. */
function weightOrder(network: TensorNetwork, tree: ContractionTree): { order: readonly string[]; cost: number } {
  if ('tensor' in tree) return { order: tree.indices, cost: 0 };
  const [a, b] = [weightOrder(network, tree.left), weightOrder(network, tree.right)];
  const [main, other] = mainFirst(network, a, b);
  const { plan, cost } = planProduct(network, main.order, { order: other.order, result: tree.indices });
  return { order: plan.result, cost: a.cost + b.cost + cost };
}

/** Estimated nanoseconds of a network without data, with its axes in the order of its output. */
export function rebuildTime(network: TensorNetwork, tree: ContractionTree): number {
  const { order, cost } = weightOrder(network, tree);
  return cost + moveTime(network, order, network.output);
}

/** The larger operand stays as it lies. */
export function mainFirst<T extends { readonly order: readonly string[] }>(network: TensorNetwork, a: T, b: T): [main: T, other: T] {
  const size = ({ order }: T): number => elementCount(sizesOf(network, order));
  return size(a) >= size(b) ? [a, b] : [b, a];
}

/** The plan of least time for a single product. */
export const planProduct = (network: TensorNetwork, order: readonly string[], step: Placed): Weighed =>
  new ChainSearch(network, [step], 'inference').plansFrom(order, 0).reduce((a, b) => (b.cost < a.cost ? b : a));

interface Weighed {
  readonly plan: ProductPlan;
  readonly cost: number;
}

class ChainSearch {
  constructor(
    private readonly network: TensorNetwork,
    private readonly steps: readonly Placed[],
    private readonly passes: Passes,
  ) {}

  /** The cheapest chain among the `BEAM` cheapest orders after every step, or undefined when none stays below `limit`. */
  run(order: readonly string[], limit = Infinity): { cost: number; plans: ProductPlan[] } | undefined {
    let states = [{ order, cost: 0, plans: [] as ProductPlan[] }];
    for (let step = 0; step < this.steps.length; step++) {
      const next = new Map<string, (typeof states)[number]>();
      for (const state of states)
        for (const { plan, cost } of this.plansFrom(state.order, step)) {
          const key = plan.result.join();
          const total = state.cost + cost;
          if (total < Math.min(limit, next.get(key)?.cost ?? Infinity))
            next.set(key, { order: plan.result, cost: total, plans: [...state.plans, plan] });
        }
      states = [...next.values()].sort((a, b) => a.cost - b.cost).slice(0, BEAM);
    }
    const ends = states.map(({ order: last, cost, plans }) => ({ cost: cost + this.move(last, this.network.output), plans }));
    return ends.sort((a, b) => a.cost - b.cost)[0];
  }

  /** Ways to make a product: from the axes as they lie, or from an order that one Transpose makes. */
  plansFrom(order: readonly string[], step: number): Weighed[] {
    const placed = this.steps[step] as Placed;
    const shared = order.filter((i) => placed.order.includes(i) && placed.result.includes(i));
    const summed = order.filter((i) => placed.order.includes(i) && !placed.result.includes(i));
    const own = placed.order.filter((i) => !order.includes(i));
    const later = new Set(this.steps.slice(step + 1).flatMap((s) => s.order.filter((i) => s.result.includes(i))));
    const leads = own.some((i) => later.has(i)) ? [own.filter((i) => later.has(i)), []] : [[]];
    return candidateOrders(order, shared, summed).flatMap((main) => {
      const [before, after] = around(main.slice(shared.length), summed);
      return leads.flatMap((lead) =>
        this.freeOrders(own.filter((i) => !lead.includes(i))).map((free) => {
          const plan = { lead, shared, before, summed, free, after, result: [...lead, ...shared, ...before, ...free, ...after] };
          return { plan, cost: this.move(order, main, step) + this.otherMove(placed.order, plan) + this.multiply(plan, step) };
        }),
      );
    });
  }

  /** Axes of the output before or behind the ones that are still to be summed. */
  private freeOrders(free: readonly string[]): (readonly string[])[] {
    const [kept, inner] = [free.filter((i) => this.network.output.includes(i)), free.filter((i) => !this.network.output.includes(i))];
    return kept.length > 0 && inner.length > 0
      ? [
          [...kept, ...inner],
          [...inner, ...kept],
        ]
      : [free];
  }

  private size = (indices: readonly string[]): number => elementCount(sizesOf(this.network, indices));

  /** The data itself needs no gradient. */
  private move(from: readonly string[], to: readonly string[], step = 1): number {
    return moveTime(this.network, from, to) * (this.passes === 'training' && step > 0 ? 2 : 1);
  }

  private otherMove(order: readonly string[], { lead, shared, summed, free, after }: ProductPlan): number {
    return this.move(order, [...lead, ...shared, ...(after.length === 0 ? [...summed, ...free] : [...free, ...summed])]);
  }

  private multiply({ lead, shared, before, summed, free, after, result }: ProductPlan, step: number): number {
    const [columns, calls] = after.length > 0 ? [after, [...lead, ...shared, ...before]] : [free, [...lead, ...shared]];
    const filled = Math.min(1, this.size(columns) / WIDE);
    const product = (MAC * this.size(result) * this.size(summed)) / filled + CALL * this.size(calls);
    const forward = product + WRITE * this.size(result);
    if (this.passes === 'inference') return forward;
    // Under a batch the weight's gradient is made for each of it, and summed.
    const weight = product + 2 * WRITE * this.size([...calls, ...summed, ...free]);
    const data = step > 0 ? product + WRITE * this.size([...lead, ...shared, ...before, ...summed, ...after]) : 0;
    return forward + weight + data;
  }
}

/** Orders with the shared axes in front and the summed ones side by side: as it lies where that holds, and some that a Transpose makes. */
function candidateOrders(order: readonly string[], shared: readonly string[], summed: readonly string[]): (readonly string[])[] {
  const rest = order.filter((i) => !shared.includes(i));
  const free = rest.filter((i) => !summed.includes(i));
  const batchLast = [...free.filter((i) => i !== BATCH), ...free.filter((i) => i === BATCH)];
  const first = rest.findIndex((i) => summed.includes(i));
  const joined = [...rest.slice(0, first), ...summed, ...rest.slice(first).filter((i) => !summed.includes(i))];
  const orders = [joined, [...free, ...summed], [...summed, ...free], [...summed, ...batchLast]];
  const alongBatch = [...joined.filter((i) => i !== BATCH), ...joined.filter((i) => i === BATCH)];
  const all = [...orders, alongBatch].map((o) => [...shared, ...o]);
  return all.filter((o, n) => all.findIndex((other) => other.join() === o.join()) === n);
}

function around(order: readonly string[], summed: readonly string[]): [before: string[], after: string[]] {
  if (summed.length === 0) return [[...order], []];
  const at = order.findIndex((i) => summed.includes(i));
  return [order.slice(0, at), order.slice(at + summed.length)];
}

/** Orders that are planned in detail. */
const CANDIDATES = 24;
/** Orders of axes that are followed from one product to the next. */
const BEAM = 12;
/** One element written takes as long as about so many multiply-accumulates. */
const TRAFFIC = 20;

/** The order of least estimated time on a processor: multiply-accumulates, elements written, elements that Transpose moves, and calls. */
export function fastestPath(network: TensorNetwork, passes: Passes): ContractionPath & { readonly nanoseconds: number } {
  let best: (ContractionPath & { readonly nanoseconds: number }) | undefined;
  for (const path of contractionCandidates(network, CANDIDATES, { traffic: TRAFFIC })) {
    const plan = planTree(network, path.tree, passes, best?.nanoseconds);
    if (plan && (!best || plan.nanoseconds < best.nanoseconds)) best = { ...path, nanoseconds: plan.nanoseconds };
  }
  if (!best) throw new SurgeryError('internal', 'A network without data has no path');
  return best;
}

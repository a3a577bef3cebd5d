import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import { DATA, type TensorNetwork, sizesOf } from './tensorNetwork';

/** A way to contract a network: a tensor of it, or the product of two parts. */
export type ContractionTree =
  | { readonly tensor: string; readonly indices: readonly string[] }
  | {
      readonly left: ContractionTree;
      readonly right: ContractionTree;
      readonly indices: readonly string[];
      readonly macs: number;
    };

export interface ContractionPath {
  readonly tree: ContractionTree;
  /** Multiply-accumulates of one forward pass over the whole batch. */
  readonly macs: number;
  /** Most bytes of intermediate results alive at once, float32. */
  readonly peakBytes: number;
  /** Whether the weight matrix is rebuilt and multiplied at once. */
  readonly rebuilds: boolean;
}

export interface PathOptions {
  /** Largest intermediate result in bytes; trees that need a larger one are left out. */
  readonly limit?: number;
  /** Multiply-accumulates that writing one element of an intermediate result counts as much as; 0 by default. */
  readonly traffic?: number;
}

interface Best {
  /** Multiply-accumulates and traffic. */
  readonly cost: number;
  readonly macs: number;
  readonly peak: number;
  readonly split: number;
}

/** Three indices a mode must fit into 31 bits. */
const MOST_TENSORS = 11;

/**
 * The cheapest order of pairwise contractions: fewest multiply-accumulates (with the traffic asked for), and among those the
 * smallest peak. Exact, by dynamic programming over all subsets of the tensors; "rebuild the weight, then multiply" is one of the
 * trees it weighs.
 *
 * @throws SurgeryError 'budget-impossible' when no tree keeps the limit
 */
export function findContractionPath(network: TensorNetwork, options: PathOptions = {}): ContractionPath {
  const search = searchFor(network, options);
  const whole = 2 ** network.tensors.length - 1;
  const best = search.run(whole);
  if (!best)
    throw new SurgeryError(
      'budget-impossible',
      `No contraction order keeps every intermediate result within ${Math.floor(options.limit ?? Infinity)} bytes`,
    );
  return pathOf(search.tree(whole), best);
}

/** The cheapest orders in which the data meets the weights, best first, `count` at most. */
export function contractionCandidates(network: TensorNetwork, count: number, options: PathOptions = {}): ContractionPath[] {
  const search = searchFor(network, options);
  search.run(2 ** network.tensors.length - 1);
  return search.chains(network.tensors.findIndex((t) => t.name === DATA), count).map(({ tree, best }) => pathOf(tree, best)); // prettier-ignore
}

function searchFor(network: TensorNetwork, { limit = Infinity, traffic = 0 }: PathOptions): SubsetSearch {
  const count = network.tensors.length;
  if (count > MOST_TENSORS)
    throw new SurgeryError('option-invalid', `A layer of ${count - 2} modes is too deep; use ${MOST_TENSORS - 2} at most`);
  return new SubsetSearch(network, limit / 4, traffic);
}

function pathOf(tree: ContractionTree, { macs, peak }: Best): ContractionPath {
  const rebuilds =
    'left' in tree &&
    [tree.left, tree.right].some((side) => 'tensor' in side && side.tensor === DATA) &&
    [tree.left, tree.right].some((side) => 'left' in side);
  return { tree, macs, peakBytes: 4 * peak, rebuilds };
}

/** Indices are bits, so that the open indices of a subset cost two operations. */
class SubsetSearch {
  private readonly names: readonly string[];
  private readonly sizes: readonly number[];
  private readonly masks: readonly number[];
  private readonly output: number;
  private readonly open: Int32Array;
  private readonly best: (Best | undefined)[] = [];

  constructor(
    private readonly network: TensorNetwork,
    private readonly limit: number,
    private readonly traffic: number,
  ) {
    this.names = [...network.sizes.keys()];
    this.sizes = this.names.map((name) => network.sizes.get(name) ?? 1);
    const maskOf = (indices: readonly string[]): number => indices.reduce((m, index) => m | (1 << this.names.indexOf(index)), 0);
    this.masks = network.tensors.map((t) => maskOf(t.indices));
    this.output = maskOf(network.output);
    this.open = this.openIndices();
  }

  /** Indices a subset's result has: those that something outside, or the output, still needs. */
  private openIndices(): Int32Array {
    const union = new Int32Array(2 ** this.masks.length);
    this.masks.forEach((mask, t) => union.forEach((_, set) => set & (1 << t) && ((union[set] as number) |= mask)));
    return union.map((mask, set) => mask & ((union[union.length - 1 - set] as number) | this.output));
  }

  private elements(mask: number): number {
    let product = 1;
    for (let i = 0; i < this.sizes.length; i++) if (mask & (1 << i)) product *= this.sizes[i] as number;
    return product;
  }

  run(whole: number): Best | undefined {
    for (let set = 1; set <= whole; set++) this.best[set] = isSingle(set) ? { cost: 0, macs: 0, peak: 0, split: 0 } : this.bestSplit(set);
    return this.best[whole];
  }

  private bestSplit(set: number): Best | undefined {
    let best: Best | undefined;
    for (let left = (set - 1) & set; left > (set ^ left); left = (left - 1) & set) {
      const [a, b] = [this.best[left], this.best[set ^ left]];
      if (!a || !b) continue;
      const joined = this.join(left, a, set ^ left, b);
      if (joined && (!best || joined.cost < best.cost || (joined.cost === best.cost && joined.peak < best.peak))) best = joined;
    }
    return best;
  }

  private join(left: number, a: Best, right: number, b: Best): Best | undefined {
    const size = this.elements(this.open[left | right] as number);
    if (size > this.limit) return undefined;
    const product = this.elements((this.open[left] as number) | (this.open[right] as number));
    const macs = a.macs + b.macs + product;
    return { cost: a.cost + b.cost + product + this.traffic * size, macs, peak: this.peak(left, a, right, b, size), split: left };
  }

  /** The cheapest chains that begin with tensor `start`: each link takes in a set of the others, contracted beforehand. */
  chains(start: number, count: number): { tree: ContractionTree; best: Best }[] {
    const whole = 2 ** this.masks.length - 1;
    const first = 1 << start;
    const found = new Map<number, { tree: ContractionTree; best: Best }[]>();
    for (let set = 0; set <= whole; set++) {
      if (!(set & first)) continue;
      const chains: { tree: ContractionTree; best: Best }[] = [];
      if (set === first) chains.push({ tree: this.tree(set), best: this.best[set] as Best });
      for (let part = (set - 1) & set; part > 0; part = (part - 1) & set) {
        const b = this.best[part];
        if (part & first || !b) continue;
        const rest = set ^ part;
        for (const chain of found.get(rest) ?? []) {
          const best = this.join(rest, chain.best, part, b);
          if (best) chains.push({ tree: this.joined(rest, chain.tree, part), best });
        }
      }
      found.set(set, chains.sort((a, b) => a.best.cost - b.best.cost).slice(0, count)); // prettier-ignore
    }
    return found.get(whole) ?? [];
  }

  /** The part with the larger peak goes first, while nothing else is alive (Sethi and Ullman's order). */
  private peak(left: number, a: Best, right: number, b: Best, size: number): number {
    const [x, y] = [this.held(left), this.held(right)];
    return Math.max(Math.min(Math.max(a.peak, x + b.peak), Math.max(b.peak, y + a.peak)), x + y + size);
  }

  /** Elements of an intermediate result; weights and data are there anyway. */
  private held(set: number): number {
    return isSingle(set) ? 0 : this.elements(this.open[set] as number);
  }

  tree(set: number): ContractionTree {
    if (isSingle(set)) {
      const { name, indices } = this.network.tensors[Math.log2(set)] as TensorNetwork['tensors'][number];
      return { tensor: name, indices };
    }
    const left = this.best[set]?.split ?? 0;
    return this.joined(left, this.tree(left), set ^ left);
  }

  private joined(left: number, tree: ContractionTree, right: number): ContractionTree {
    const all = (this.open[left] as number) | (this.open[right] as number);
    const indices = this.names.filter((_, i) => (this.open[left | right] as number) & (1 << i));
    return { left: tree, right: this.tree(right), indices, macs: this.elements(all) };
  }
}

const isSingle = (set: number): boolean => (set & (set - 1)) === 0;

/** One line a step: what is contracted with what, the result's axes and the cost. */
export interface PathStep {
  readonly contract: readonly [string, string];
  readonly result: readonly string[];
  readonly shape: readonly number[];
  readonly elements: number;
  readonly macs: number;
}

export function describePath(network: TensorNetwork, { tree }: ContractionPath): PathStep[] {
  const steps: PathStep[] = [];
  const visit = (node: ContractionTree): string => {
    if ('tensor' in node) return node.tensor;
    const contract = [visit(node.left), visit(node.right)] as const;
    const shape = sizesOf(network, node.indices);
    steps.push({ contract, result: node.indices, shape, elements: elementCount(shape), macs: node.macs });
    return `(${contract.join(' ')})`;
  };
  visit(tree);
  return steps;
}

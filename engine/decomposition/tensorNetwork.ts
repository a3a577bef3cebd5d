import { elementCount } from '../graph/tensor';

/** A tensor of a network: its axes by name, outermost first. */
export interface NetworkTensor {
  readonly name: string;
  readonly indices: readonly string[];
}

/**
 * A product of tensors summed over every index that is not in `output`. An index may belong to more than two tensors: it
 * then runs along with all of them (the block of a block-term layer).
 */
export interface TensorNetwork {
  readonly sizes: ReadonlyMap<string, number>;
  readonly tensors: readonly NetworkTensor[];
  readonly output: readonly string[];
}

/** Name of the data tensor and of its first index, the batch. */
export const DATA = 'x';
export const BATCH = 'b';

export const sizesOf = (network: TensorNetwork, indices: readonly string[]): number[] => indices.map((i) => network.sizes.get(i) ?? 1);

export const weightsOf = (network: TensorNetwork): NetworkTensor[] => network.tensors.filter((t) => t.name !== DATA);

/** Elements of all weights. */
export const parameterCount = (network: TensorNetwork): number =>
  weightsOf(network).reduce((n, t) => n + elementCount(sizesOf(network, t.indices)), 0);

/** The same weights without data: the matrix they stand for, [i1.., j1..] (the output without its batch in front). */
export function weightNetwork(network: TensorNetwork): TensorNetwork {
  const data = network.tensors.find((t) => t.name === DATA);
  const axes = [...(data?.indices ?? []), ...network.output].filter((index) => index !== BATCH);
  return { sizes: network.sizes, tensors: weightsOf(network), output: axes };
}

/** The same network for another batch size. */
export const withBatch = (network: TensorNetwork, batch: number): TensorNetwork => ({
  ...network,
  sizes: new Map(network.sizes).set(BATCH, batch),
});

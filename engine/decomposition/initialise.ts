import type { Random } from '../graph/random';
import { elementCount, float32, type Tensor } from '../graph/tensor';
import { type TensorNetwork, DATA, sizesOf, weightsOf } from './tensorNetwork';

/**
 * Normal weights whose product has entries of the given variance. An entry sums over all inner indices as many products of
 * independent elements as there are tensors: Var(W) = (product of inner sizes) * s^(2 tensors).
 */
export function initialWeights(network: TensorNetwork, variance: number, random: Random): Map<string, Tensor> {
  const deviation = factorDeviation(network, variance);
  return new Map(
    weightsOf(network).map(({ name, indices }) => {
      const dims = sizesOf(network, indices);
      return [
        name,
        float32(
          dims,
          Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, deviation)),
        ),
      ];
    }),
  );
}

/** Standard deviation of the elements of every tensor. */
export function factorDeviation(network: TensorNetwork, variance: number): number {
  const data = network.tensors.find((t) => t.name === DATA);
  const outer = new Set([...(data?.indices ?? []), ...network.output]);
  const inner = elementCount([...network.sizes].filter(([index]) => !outer.has(index)).map(([, size]) => size));
  return (variance / inner) ** (1 / (2 * weightsOf(network).length));
}

/** Glorot's variance of a dense matrix: keeps that of signals forward and backward. */
export const glorotVariance = (inputs: number, outputs: number): number => 2 / (inputs + outputs);

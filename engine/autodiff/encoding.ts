import { type Tensor, elementCount, newArray } from '../graph/tensor';

/** How a parameter lies in memory while a training graph runs; files and checkpoints hold the plain form. */
export interface Encoding {
  /** Shape of the graph's input. */
  readonly dims: readonly number[];
  encode(plain: Tensor): Tensor;
  decode(encoded: Tensor): Tensor;
}

/**
 * An encoding that moves element i of the plain tensor to `place(i)` of a tensor of `dims`; the rest of it is zero.
 * @param plainDims shape of the plain form
 */
export function permutation(plainDims: readonly number[], dims: readonly number[], place: (i: number) => number): Encoding {
  const count = elementCount(plainDims);
  return {
    dims,
    encode(plain) {
      const data = newArray(plain.type, elementCount(dims));
      for (let i = 0; i < count; i++) data[place(i)] = plain.data[i] as number;
      return { type: plain.type, dims, data };
    },
    decode(encoded) {
      const data = newArray(encoded.type, count);
      for (let i = 0; i < count; i++) data[i] = encoded.data[place(i)] as number;
      return { type: encoded.type, dims: plainDims, data };
    },
  };
}

/** A vector of channels, padded with zeros. */
export const paddedVector = (dims: readonly number[], channels: number): Encoding => permutation(dims, [channels], (i) => i);

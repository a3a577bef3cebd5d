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
export function permutation(plainDims: readonly number[], dims: readonly number[], place: Int32Array): Encoding {
  return {
    dims,
    encode(plain) {
      const data = newArray(plain.type, elementCount(dims));
      for (let i = 0; i < place.length; i++) data[place[i] as number] = plain.data[i] as number;
      return { type: plain.type, dims, data };
    },
    decode(encoded) {
      const data = newArray(encoded.type, place.length);
      for (let i = 0; i < place.length; i++) data[i] = encoded.data[place[i] as number] as number;
      return { type: encoded.type, dims: plainDims, data };
    },
  };
}

/** A vector of channels, padded with zeros. */
export const paddedVector = (dims: readonly number[], channels: number): Encoding =>
  permutation(
    dims,
    [channels],
    Int32Array.from({ length: elementCount(dims) }, (_, i) => i),
  );

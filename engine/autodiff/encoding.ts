import { type Tensor, elementCount, newArray } from '../graph/tensor';

/** How a parameter lies in memory while a training graph runs; files and checkpoints hold the plain form. */
export interface Encoding {
  /** Shape of the graph's input. */
  readonly dims: readonly number[];
  encode(plain: Tensor): Tensor;
  decode(encoded: Tensor): Tensor;
}

/**
 * An encoding that moves run i of `length` elements of the plain tensor to a tensor of `dims`, where they lie `step` apart from `start(i)` on; the
 * rest of it is zero.
 * @param plainDims shape of the plain form
 */
export function inRuns(
  plainDims: readonly number[],
  dims: readonly number[],
  { length, step }: { readonly length: number; readonly step: number },
  start: (i: number) => number,
): Encoding {
  const count = elementCount(plainDims);
  return {
    dims,
    encode(plain) {
      const [from, to] = [plain.data as Float32Array, newArray(plain.type, elementCount(dims)) as Float32Array];
      for (let i = 0, at = 0; at < count; i++) {
        const first = start(i);
        for (let t = 0; t < length; t++) to[first + t * step] = from[at++] as number;
      }
      return { type: plain.type, dims, data: to };
    },
    decode(encoded) {
      const [from, to] = [encoded.data as Float32Array, newArray(encoded.type, count) as Float32Array];
      for (let i = 0, at = 0; at < count; i++) {
        const first = start(i);
        for (let t = 0; t < length; t++) to[at++] = from[first + t * step] as number;
      }
      return { type: encoded.type, dims: plainDims, data: to };
    },
  };
}

/** A vector of channels, padded with zeros. */
export const paddedVector = (dims: readonly number[], channels: number): Encoding =>
  inRuns(dims, [channels], { length: elementCount(dims), step: 1 }, () => 0);

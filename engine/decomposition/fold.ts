import { elementCount } from '../graph/tensor';

/** What fold and unfold keep: element types are those of the array given. */
type Reals = Float32Array | Float64Array;

/**
 * Folds a matrix W [I, J], row-major, into the tensor of order d whose mode k runs over the pairs (i_k, j_k): sizes I_k J_k.
 * Exactly undone by `unfoldMatrix`.
 */
export const foldMatrix = <T extends Reals>(matrix: T, inputModes: readonly number[], outputModes: readonly number[]): T =>
  permute(matrix, [...inputModes, ...outputModes], interleaved(inputModes.length));

/** The matrix [I, J] of a folded tensor. */
export function unfoldMatrix<T extends Reals>(tensor: T, inputModes: readonly number[], outputModes: readonly number[]): T {
  const order = interleaved(inputModes.length);
  const all = [...inputModes, ...outputModes];
  return permute(
    tensor,
    order.map((axis) => all[axis] ?? 1),
    inverse(order),
  );
}

/** (i1, j1, i2, j2, ..) out of (i1, i2, .., j1, j2, ..). */
const interleaved = (modes: number): number[] => Array.from({ length: 2 * modes }, (_, a) => (a % 2 === 0 ? a / 2 : modes + (a - 1) / 2));

function inverse(order: readonly number[]): number[] {
  const result = Array<number>(order.length).fill(0);
  order.forEach((axis, position) => (result[axis] = position));
  return result;
}

/** Axes in a new order: result axis a is axis `order[a]` of the source. */
export function permute<T extends Reals>(source: T, dims: readonly number[], order: readonly number[]): T {
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const sizes = order.map((axis) => dims[axis] ?? 1);
  const steps = order.map((axis) => strides[axis] ?? 0);
  const result = new (source.constructor as new (n: number) => T)(source.length);
  const [last, step] = [sizes.at(-1) ?? 1, steps.at(-1) ?? 0];
  const counter = Array<number>(sizes.length).fill(0);
  for (let to = 0, from = 0; to < result.length;) {
    for (let i = 0; i < last; i++) result[to++] = source[from + i * step] as number;
    for (let axis = sizes.length - 2; axis >= 0; axis--) {
      from += steps[axis] ?? 0;
      if (++(counter[axis] as number) < (sizes[axis] ?? 1)) break;
      from -= (steps[axis] ?? 0) * (sizes[axis] ?? 1);
      counter[axis] = 0;
    }
  }
  return result;
}

/** A factor of the sizes of an axis before and of an axis after a reshape. */
export interface Factor {
  readonly size: number;
  /** Axis of the input and of the output that it is part of. */
  readonly input: number;
  readonly output: number;
}

/**
 * Splits the axes on both sides of a reshape into common factors, in row-major order: [4, 6] -> [8, 3] has the factors 4, 2, 3.
 * Axes of size one take no part. Undefined when the sizes have no common refinement ([4, 6] -> [3, 8]).
 */
export function commonFactors(from: readonly number[], to: readonly number[]): Factor[] | undefined {
  const wide = (shape: readonly number[]): number[] => shape.map((_, axis) => axis).filter((axis) => (shape[axis] ?? 1) > 1);
  const [inputs, outputs] = [wide(from), wide(to)];
  const factors: Factor[] = [];
  let [i, o, left, right] = [0, 0, 1, 1];
  while (i < inputs.length || o < outputs.length || left > 1 || right > 1) {
    if (left === 1) left = from[inputs[i++] ?? -1] ?? 0;
    if (right === 1) right = to[outputs[o++] ?? -1] ?? 0;
    const size = Math.min(left, right);
    if (size === 0 || left % size !== 0 || right % size !== 0) return undefined;
    factors.push({ size, input: inputs[i - 1] as number, output: outputs[o - 1] as number });
    left /= size;
    right /= size;
  }
  return factors;
}

/** Factors that share an axis with each other, directly or through others, in order. */
export function factorRuns(factors: readonly Factor[]): Factor[][] {
  const runs: Factor[][] = [];
  for (const factor of factors) {
    const last = runs.at(-1)?.at(-1);
    if (last && (last.input === factor.input || last.output === factor.output)) runs.at(-1)?.push(factor);
    else runs.push([factor]);
  }
  return runs;
}

/**
 * The factor whose positions may be lost as wholes, while the others of its run stay complete:
 * of merged axes the one that has the channels, or the first (Flatten: a channel is a block); of the last axis of a sequence that is split, the heads; of a channel
 * axis that is split, the larger part (a channel shuffle keeps its groups equal); where axes are both split and merged, the
 * groups of a group normalisation (images) or the heads of attention (sequences of rank three).
 */
export function carrierOf(
  run: readonly Factor[],
  from: readonly number[],
  to: readonly number[],
  channelAxis?: number,
): Factor | undefined {
  if (run.length === 1) return run[0];
  const of = (side: 'input' | 'output'): Set<number> => new Set(run.map((f) => f[side]));
  const [inputs, outputs] = [of('input'), of('output')];
  if (outputs.size === 1) return run.find((f) => f.input === channelAxis) ?? run[0];
  if (inputs.size === 1) {
    const isFeatureAxis = from.length >= 3 && inputs.has(from.length - 1);
    if (isFeatureAxis) return run.at(-2);
    return run.reduce((a, b) => (b.size > a.size ? b : a));
  }
  return from.length === 3 && to.length === 3 ? run.at(-2) : run[0];
}

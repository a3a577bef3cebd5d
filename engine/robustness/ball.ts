import type { AttackNorm } from '../contract/robustness';
import type { Random } from '../graph/random';

/** Moves within a ball of radius epsilon around each sample; arrays hold samples of `size` elements one after the other. */
export interface Ball {
  /** The step of unit length that raises a linear function the most: sign of the gradient, or the gradient over its norm. */
  steepest(gradient: Float32Array, size: number): Float32Array;
  /** A change of length epsilon in a random direction. */
  randomDirection(length: number, size: number, epsilon: number, random: Random): Float32Array;
  /** A change drawn uniformly from the ball. */
  randomPoint(length: number, size: number, epsilon: number, random: Random): Float32Array;
  /** The nearest change inside the ball, in place. */
  project(change: Float32Array, size: number, epsilon: number): void;
}

const linf: Ball = {
  steepest: (gradient) => gradient.map(Math.sign),
  randomDirection: (length, _size, epsilon, random) => Float32Array.from({ length }, () => (random.uniform() < 0.5 ? -epsilon : epsilon)),
  randomPoint: (length, _size, epsilon, random) => Float32Array.from({ length }, () => random.uniform(-epsilon, epsilon)),
  project(change, _size, epsilon) {
    for (let i = 0; i < change.length; i++) change[i] = Math.min(epsilon, Math.max(-epsilon, change[i] as number));
  },
};

const l2: Ball = {
  steepest: (gradient, size) => scaleEach(gradient.slice(), size, (norm) => (norm > 0 ? 1 / norm : 0)),
  randomDirection: (length, size, epsilon, random) =>
    scaleEach(
      Float32Array.from({ length }, () => random.normal()),
      size,
      (norm) => epsilon / norm,
    ),
  /** A direction is uniform on the sphere, and u^(1/d) of the radius is uniform in the ball of d dimensions. */
  randomPoint: (length, size, epsilon, random) =>
    scaleEach(
      Float32Array.from({ length }, () => random.normal()),
      size,
      (norm) => (epsilon * random.uniform() ** (1 / size)) / norm,
    ),
  project: (change, size, epsilon) => void scaleEach(change, size, (norm) => (norm > epsilon ? epsilon / norm : 1)),
};

export const BALLS: Readonly<Record<AttackNorm, Ball>> = { linf, l2 };

/** Multiplies each sample by a factor of its L2 norm, in place. */
function scaleEach(values: Float32Array, size: number, factor: (norm: number) => number): Float32Array {
  for (let start = 0; start < values.length; start += size) {
    const sample = values.subarray(start, start + size);
    const by = factor(Math.sqrt(sample.reduce((sum, v) => sum + v * v, 0)));
    for (let i = 0; i < size; i++) sample[i] = (sample[i] as number) * by;
  }
  return values;
}

import type { SiteContext } from '../../autodiff/perturbation';
import { elementCount } from '../../graph/tensor';

const KEPT = 0.9;
/** Guards the division by the largest gradient (official code, `models/anl.py`). */
const GUARD = 1e-6;

export type GradientScale = 'signed-max' | 'abs-max';

/** Shape that broadcasts one number a sample against a value. */
const perSample = (context: SiteContext): number[] => {
  const [batch = 1, ...rest] = context.emitter.shape(context.value);
  return [batch, ...rest.map(() => 1)];
};

/**
 * The running deviation of the site's value: 0.9 of the old one and 0.1 of the unbiased deviation of the whole tensor, from zero on
 * (papers.md 2.1).
 *
 * @returns the deviation before this step, a scalar
 */
export function followDeviation(context: SiteContext): string {
  const { emitter, value } = context;
  const before = context.state('deviation', []);
  const count = elementCount(emitter.shape(value));
  const rows = emitter.emit('Reshape', [value, emitter.ints([emitter.shape(value)[0] ?? 1, -1])]);
  const means = emitter.emit('ReduceMean', [rows], { axes: [1], keepdims: 1 });
  const mean = emitter.emit('ReduceMean', [means], { keepdims: 0 });
  const squares = emitter.emit('ReduceSumSquare', [emitter.emit('Sub', [rows, mean])], { axes: [1], keepdims: 0 });
  const sum = emitter.emit('ReduceSum', [squares, emitter.ints([0])], { keepdims: 0 });
  const deviation = emitter.emit('Sqrt', [emitter.emit('Mul', [sum, emitter.scalar(1 / Math.max(1, count - 1))])]);
  const kept = emitter.emit('Mul', [before, emitter.scalar(KEPT)]);
  context.setState('deviation', emitter.emit('Add', [kept, emitter.emit('Mul', [deviation, emitter.scalar(1 - KEPT)])]));
  return before;
}

/** r_b = clamp(z |eps|/4 + eps/2, min(0, eps), max(0, eps)) * deviation with one z ~ N(0, 1) a sample; shape [batch, 1, ...]. */
export function drawMagnitude(context: SiteContext, epsilon: number, deviation: string): string {
  const { emitter } = context;
  const z = context.random('magnitude', perSample(context), { kind: 'normal' });
  const spread = emitter.emit('Mul', [z, emitter.scalar(Math.abs(epsilon) / 4)]);
  const shifted = emitter.emit('Add', [spread, emitter.scalar(epsilon / 2)]);
  const clamped = emitter.emit('Clip', [shifted, emitter.scalar(Math.min(0, epsilon)), emitter.scalar(Math.max(0, epsilon))]);
  return emitter.emit('Mul', [clamped, deviation]);
}

/** adv_b = r_b g_b / (1e-6 + max g_b), per sample; with 'abs-max' the largest |g_b| instead of the largest g_b. */
export function normalisedNoise(context: SiteContext, gradient: string, magnitude: string, scale: GradientScale): string {
  const { emitter } = context;
  const [batch = 1] = emitter.shape(gradient);
  const rows = emitter.emit('Reshape', [gradient, emitter.ints([batch, -1])]);
  const measured = scale === 'abs-max' ? emitter.emit('Abs', [rows]) : rows;
  const largest = emitter.emit('ReduceMax', [measured], { axes: [1], keepdims: 1 });
  const shape = emitter.ints(perSample(context));
  const guarded = emitter.emit('Add', [emitter.emit('Reshape', [largest, shape]), emitter.scalar(GUARD)]);
  return emitter.emit('Mul', [gradient, emitter.emit('Div', [magnitude, guarded])]);
}

/** Reports the noise's root mean square, in units of the running deviation's value, and adds it to the site's value. */
export function addNoise(context: SiteContext, noise: string): string {
  const { emitter, value } = context;
  context.report(rootMeanSquare(context, noise));
  return emitter.emit('Add', [value, noise]);
}

export function rootMeanSquare({ emitter }: SiteContext, noise: string): string {
  const shape = emitter.shape(noise);
  const rows = emitter.emit('Reshape', [noise, emitter.ints([shape[0] ?? 1, -1])]);
  const squares = emitter.emit('ReduceSumSquare', [rows], { axes: [1], keepdims: 0 });
  const sum = emitter.emit('ReduceSum', [squares, emitter.ints([0])], { keepdims: 0 });
  return emitter.emit('Sqrt', [emitter.emit('Mul', [sum, emitter.scalar(1 / elementCount(shape))])]);
}

import { elementCount } from '../../graph/tensor';
import { Calculator } from '../../ops/calculator';
import type { Emitter } from '../../ops/opRecord';
import { channelDots, channelSums, perChannel } from './emit';

/** Statistics that a blocked activation is normalised by, as channel vectors [C]. */
export interface Statistics {
  readonly mean: string;
  readonly variance: string;
  /** 1 / sqrt(variance + epsilon). */
  readonly inverse: string;
}

/** Samples that one channel's statistics are taken over. */
export const samplesOf = (emitter: Emitter, x: string): number => elementCount(emitter.shape(x)) / (emitter.shape(x)[1] ?? 1);

/** Mean and mean of squares in two passes that write nothing. Their difference loses digits where |mean| is far above the deviation. */
export function batchStatistics(emitter: Emitter, x: string, epsilon: number): Statistics {
  const c = new Calculator(emitter);
  const mean = c.mul(channelSums(emitter, x), 1 / (emitter.shape(x)[0] ?? 1));
  const squares = c.mul(channelDots(emitter, x, x), 1 / samplesOf(emitter, x));
  const variance = emitter.emit('Relu', [c.sub(squares, c.mul(mean, mean))]);
  return { mean, variance, inverse: c.call('Reciprocal', c.call('Sqrt', c.add(variance, epsilon))) };
}

/** Statistics that do not depend on the batch. */
export function fixedStatistics(emitter: Emitter, mean: string, variance: string, epsilon: number): Statistics {
  const c = new Calculator(emitter);
  return { mean, variance, inverse: c.call('Reciprocal', c.call('Sqrt', c.add(variance, epsilon))) };
}

export interface NormGradients {
  readonly scale: string;
  readonly bias: string;
  /** Gradient of x; true gradient is `factor` (a channel vector) times it where a factor is given. */
  readonly x: string;
  readonly factor?: string;
}

/**
 * dx = a (g + b x + c) with channel vectors a = scale / sd, b, c (Ioffe and Szegedy 2015, section 3), one pass over the activations.
 *
 * @param keepFactor leaves `a` to the caller, who can fold it into weights
 */
export function normGradients(
  emitter: Emitter,
  x: string,
  g: string,
  scale: string,
  { mean, inverse }: Statistics,
  keepFactor: boolean,
): NormGradients {
  const c = new Calculator(emitter);
  const count = samplesOf(emitter, x);
  const { meanOfG, bias, scaleGradient } = vectorGradients(emitter, x, g, { mean, inverse });
  const slope = c.mul(c.mul(inverse, scaleGradient), -1 / count);
  const offset = c.call('Neg', c.add(meanOfG, c.mul(slope, mean)));
  const factor = c.mul(inverse, scale);
  if (keepFactor) return { scale: scaleGradient, bias, x: perChannel(emitter, x, slope, offset, g), factor };
  const rest = perChannel(emitter, x, c.mul(slope, factor), c.mul(offset, factor));
  return { scale: scaleGradient, bias, x: perChannel(emitter, g, factor, '', rest) };
}

function vectorGradients(emitter: Emitter, x: string, g: string, { mean, inverse }: Pick<Statistics, 'mean' | 'inverse'>) {
  const c = new Calculator(emitter);
  const meanOfG = c.mul(channelSums(emitter, g), 1 / (emitter.shape(x)[0] ?? 1));
  const bias = c.mul(meanOfG, samplesOf(emitter, x));
  return { meanOfG, bias, scaleGradient: c.mul(inverse, c.sub(channelDots(emitter, g, x), c.mul(mean, bias))) };
}

/** The same where the statistics do not depend on the batch: dx = a g. */
export function fixedNormGradients(
  emitter: Emitter,
  x: string,
  g: string,
  scale: string,
  statistics: Statistics,
  keepFactor: boolean,
): NormGradients {
  const { bias, scaleGradient } = vectorGradients(emitter, x, g, statistics);
  const factor = emitter.emit('Mul', [statistics.inverse, scale]);
  return keepFactor ? { scale: scaleGradient, bias, x: g, factor } : { scale: scaleGradient, bias, x: perChannel(emitter, g, factor) };
}

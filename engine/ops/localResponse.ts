import { floatOf, intOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { GradientContext, OpRecord } from './opRecord';
import { unsupported } from './opRecord';
import { sameAsInput } from './shapeHelpers';
import { localResponseLowering } from './tfjs/normalization';

/** Local response normalisation over neighbouring channels (Krizhevsky et al. 2012, section 3.3). */
export const localResponse: OpRecord = {
  op: 'LRN',
  domain: '',
  opsets: [1, 99],
  inputs: [1, 1],
  outputs: [1, 1],
  macs: 'none',
  tfjs: localResponseLowering,
  shape: sameAsInput,
  /** dx = g s^-beta - 2 alpha beta / n x sum(g x s^(-beta - 1)), s = bias + alpha/n sum(x^2) over a window of channels. */
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const x = context.input(0);
    const size = intOf(context.node, 'size', 1);
    const [alpha, beta, bias] = [
      floatOf(context.node, 'alpha', 1e-4),
      floatOf(context.node, 'beta', 0.75),
      floatOf(context.node, 'bias', 1),
    ];
    const mul = (a: string, b: string): string => context.emit('Mul', [a, b]);
    const windowSum = (value: string): string => channelWindowSum(context, value, size);
    const s = context.emit('Add', [mul(windowSum(mul(x, x)), context.scalar(alpha / size)), context.scalar(bias)]);
    const power = (exponent: number): string => context.emit('Pow', [s, context.scalar(exponent)]);
    const spread = windowSum(mul(mul(g, x), power(-beta - 1)));
    return [context.emit('Sub', [mul(g, power(-beta)), mul(mul(x, spread), context.scalar((2 * alpha * beta) / size))])];
  },
  coupling: unsupported('it normalises over neighbouring channels'),
};

/** Sum over a window of `size` neighbouring channels, as a product with a band matrix. */
function channelWindowSum(context: GradientContext, value: string, size: number): string {
  const [batch = 1, channels = 1, ...spatial] = context.shape(value);
  const band = new Float32Array(channels * channels);
  const [below, above] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  for (let i = 0; i < channels; i++)
    for (let j = Math.max(0, i - below); j <= Math.min(channels - 1, i + above); j++) band[i * channels + j] = 1;
  const rows = context.emit('Reshape', [value, context.ints([batch, channels, elementCount(spatial)])]);
  return context.emit('Reshape', [
    context.emit('MatMul', [context.floats([channels, channels], band), rows]),
    context.ints([batch, channels, ...spatial]),
  ]);
}

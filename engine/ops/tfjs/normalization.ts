import { floatOf, intOf } from '../../graph/graph';
import { elementCount } from '../../graph/tensor';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { range } from './layout';

interface Moments {
  readonly mean: TfjsTensor;
  readonly variance: TfjsTensor;
}

function moments(tf: TfjsModule, x: TfjsTensor, axes: number[], keep: boolean): Moments {
  const mean = tf.mean(x, axes, true);
  const variance = tf.tidy(() => tf.mean(tf.square(tf.sub(x, mean)), axes, keep));
  return { mean: keep ? mean : tf.reshape(mean, variance.shape), variance };
}

const inverseDeviation = (tf: TfjsModule, variance: TfjsTensor, epsilon: number): TfjsTensor => tf.rsqrt(tf.add(variance, epsilon));

/** With running statistics, or in training with those of the batch, which also move the running ones. */
export const batchNormLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.channelsLast(0);
  const [scale, offset, runningMean, runningVariance] = [1, 2, 3, 4].map((i) => context.input(i)) as [
    TfjsTensor,
    TfjsTensor,
    TfjsTensor,
    TfjsTensor,
  ];
  const channels = x.rank === 1 ? 1 : (x.shape.at(-1) ?? 1);
  const rows = tf.reshape(x, [-1, 1, 1, channels]);
  const training = intOf(node, 'training_mode', 0) === 1 || (context.opset < 14 && node.outputs.length > 1);
  const { mean, variance } = training ? moments(tf, rows, [0, 1, 2], false) : { mean: runningMean, variance: runningVariance };
  const y = tf.batchNorm(rows, mean, variance, offset, scale, floatOf(node, 'epsilon', 1e-5));
  const result = { channelsLast: tf.reshape(y, x.shape) };
  if (!training) return [result];
  const momentum = floatOf(node, 'momentum', 0.9);
  const follow = (running: TfjsTensor, batch: TfjsTensor): TfjsTensor =>
    momentum === 0 ? batch : tf.add(tf.mul(running, momentum), tf.mul(batch, 1 - momentum));
  return [result, follow(runningMean, mean), follow(runningVariance, variance), mean, variance];
};

const layerNorm: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const stated = intOf(node, 'axis', -1);
  const axes = range(stated < 0 ? stated + x.rank : stated, x.rank);
  const { mean, variance } = moments(tf, x, axes, true);
  const inverse = inverseDeviation(tf, variance, floatOf(node, 'epsilon', 1e-5));
  const scaled = tf.mul(tf.mul(tf.sub(x, mean), inverse), context.input(1));
  return [context.has(2) ? tf.add(scaled, context.input(2)) : scaled, mean, inverse];
};

/** A channel vector against [N, C, ...]. */
const column = (tf: TfjsModule, vector: TfjsTensor, rank: number): TfjsTensor => tf.reshape(vector, [-1, ...range(2, rank).map(() => 1)]);

const instanceNorm: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const { mean, variance } = moments(tf, x, range(2, x.rank), true);
  const inverse = inverseDeviation(tf, variance, floatOf(node, 'epsilon', 1e-5));
  return affine(context, tf.mul(tf.sub(x, mean), inverse), context.input(1), context.input(2));
};

const affine = ({ tf }: LoweringContext, x: TfjsTensor, scale: TfjsTensor, bias: TfjsTensor): TfjsTensor =>
  tf.add(tf.mul(x, column(tf, scale, x.rank)), column(tf, bias, x.rank));

/** Scale and bias are given for each group before opset 21, for each channel since. */
const groupNorm: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const [batch = 1, channels = 1, ...spatial] = x.shape;
  const groups = intOf(node, 'num_groups', 1);
  const rows = tf.reshape(x, [batch, groups, (channels / groups) * elementCount(spatial)]);
  const { mean, variance } = moments(tf, rows, [2], true);
  const inverse = inverseDeviation(tf, variance, floatOf(node, 'epsilon', 1e-5));
  const normalised = tf.reshape(tf.mul(tf.sub(rows, mean), inverse), x.shape);
  const perChannel = (vector: TfjsTensor): TfjsTensor =>
    vector.shape[0] === channels ? vector : tf.reshape(tf.tile(tf.reshape(vector, [groups, 1]), [1, channels / groups]), [channels]);
  return affine(context, normalised, perChannel(context.input(1)), perChannel(context.input(2)));
};

/** The sum over neighbouring channels is a product with a band matrix: tfjs's own operator takes odd windows only. */
export const localResponseLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.channelsLast(0);
  const channels = x.shape.at(-1) ?? 1;
  const size = intOf(node, 'size', 1);
  const [below, above] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const band = Float32Array.from({ length: channels * channels }, (_, i) => {
    const distance = Math.floor(i / channels) - (i % channels);
    return distance >= -below && distance <= above ? 1 : 0;
  });
  const squares = tf.reshape(tf.square(x), [-1, channels]);
  const sums = tf.reshape(tf.matMul(squares as never, tf.tensor2d(band, [channels, channels])), x.shape);
  const base = tf.add(tf.mul(sums, floatOf(node, 'alpha', 1e-4) / size), floatOf(node, 'bias', 1));
  return { channelsLast: tf.mul(x, tf.pow(base, tf.scalar(-floatOf(node, 'beta', 0.75)))) };
};

export const normalizationLowerings: Readonly<Record<string, TfjsLowering>> = {
  LayerNormalization: layerNorm,
  InstanceNormalization: instanceNorm,
  GroupNormalization: groupNorm,
};

import { intOf, intsOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { axisWhenLast, prefersChannelsLast, range } from './layout';

type Reduce = (tf: TfjsModule, x: TfjsTensor, axes: number[], keep: boolean) => TfjsTensor;

function axesOf(context: LoweringContext): number[] {
  const { node } = context;
  const rank = context.shape(0).length;
  const stated = intsOf(node, 'axes') ?? (context.has(1) ? context.numbers(1) : []);
  if (stated.length > 0) return stated.map((a) => (a < 0 ? a + rank : a));
  return intOf(node, 'noop_with_empty_axes', 0) === 1 ? [] : range(0, rank);
}

/** Works in the order that is at hand unless that would change the order of the axes left. */
const reduction =
  (reduce: Reduce): TfjsLowering =>
  (context) => {
    const axes = axesOf(context);
    return reduceOver(context, axes, intOf(context.node, 'keepdims', 1) === 1, reduce);
  };

function reduceOver(context: LoweringContext, axes: readonly number[], keep: boolean, reduce: Reduce): ReturnType<TfjsLowering> {
  const { tf } = context;
  const rank = context.shape(0).length;
  const left = range(0, rank).filter((a) => !axes.includes(a));
  const sameOrder = keep || !left.includes(1) || left.every((a) => a < 2);
  if (!sameOrder || !prefersChannelsLast(context, [0])) return reduce(tf, context.input(0), [...axes], keep);
  const result = reduce(
    tf,
    context.channelsLast(0),
    axes.map((a) => axisWhenLast(a, rank)),
    keep,
  );
  return keep ? { channelsLast: result } : result;
}

function logSumExp(tf: TfjsModule, x: TfjsTensor, axes: number[], keep: boolean): TfjsTensor {
  const largest = tf.max(x, axes, true);
  const shift = tf.where(tf.isFinite(largest), largest, tf.zerosLike(largest));
  const sum = tf.sum(tf.exp(tf.sub(x, shift)), axes, keep);
  return tf.add(tf.log(sum), tf.reshape(shift, sum.shape));
}

/** Over no axes every element stands for itself; tfjs would take all axes. */
const some =
  (reduce: Reduce): Reduce =>
  (tf, x, axes, keep) =>
    axes.length > 0 ? reduce(tf, x, axes, keep) : tf.reshape(reduce(tf, tf.expandDims(x, 0), [0], false), x.shape);

/** The extreme of no elements. */
const nothingAs = (tf: TfjsModule, x: TfjsTensor, axes: number[], keep: boolean, value: number): TfjsTensor =>
  tf.fill(tf.sum(x, axes, keep).shape, value);

const REDUCTIONS: Readonly<Record<string, Reduce>> = {
  ReduceSum: (tf, x, axes, keep) => tf.sum(x, axes, keep),
  ReduceMean: (tf, x, axes, keep) => tf.mean(x, axes, keep),
  ReduceMax: (tf, x, axes, keep) => (x.size > 0 ? tf.max(x, axes, keep) : nothingAs(tf, x, axes, keep, -Infinity)),
  ReduceMin: (tf, x, axes, keep) => (x.size > 0 ? tf.min(x, axes, keep) : nothingAs(tf, x, axes, keep, Infinity)),
  ReduceProd: (tf, x, axes, keep) => tf.prod(x, axes, keep),
  ReduceL1: (tf, x, axes, keep) => tf.sum(tf.abs(x), axes, keep),
  ReduceL2: (tf, x, axes, keep) => tf.sqrt(tf.sum(tf.square(x), axes, keep)),
  ReduceSumSquare: (tf, x, axes, keep) => tf.sum(tf.square(x), axes, keep),
  ReduceLogSum: (tf, x, axes, keep) => tf.log(tf.sum(x, axes, keep)),
  ReduceLogSumExp: logSumExp,
};

/** Mean over all axes but samples and channels. */
export const globalAverage: TfjsLowering = (context) =>
  reduceOver(context, range(2, context.shape(0).length), true, (tf, x, axes, keep) => tf.mean(x, axes, keep));
export const globalMaximum: TfjsLowering = (context) =>
  reduceOver(context, range(2, context.shape(0).length), true, (tf, x, axes, keep) => tf.max(x, axes, keep));
export const globalNorm: TfjsLowering = (context) => {
  const p = intOf(context.node, 'p', 2);
  return reduceOver(context, range(2, context.shape(0).length), true, (tf, x, axes, keep) =>
    tf.pow(tf.sum(tf.pow(tf.abs(x), p), axes, keep), 1 / p),
  );
};

const argument =
  (largest: boolean): TfjsLowering =>
  (context) => {
    const { tf, node } = context;
    const x = context.input(0);
    const stated = intOf(node, 'axis', 0);
    const axis = stated < 0 ? stated + x.rank : stated;
    const last = intOf(node, 'select_last_index', 0) === 1;
    const searched = last ? tf.reverse(x, axis) : x;
    const found = largest ? tf.argMax(searched, axis) : tf.argMin(searched, axis);
    const index = last ? tf.sub(tf.scalar((x.shape[axis] ?? 1) - 1, 'int32'), found) : found;
    return intOf(node, 'keepdims', 1) === 1 ? tf.expandDims(index, axis) : index;
  };

const cumulativeSum: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const stated = context.numbers(1)[0] ?? 0;
  return tf.cumsum(x, stated < 0 ? stated + x.rank : stated, intOf(node, 'exclusive', 0) === 1, intOf(node, 'reverse', 0) === 1);
};

export const reductionLowerings: Readonly<Record<string, TfjsLowering>> = {
  ...Object.fromEntries(Object.entries(REDUCTIONS).map(([op, reduce]) => [op, reduction(some(reduce))])),
  ArgMax: argument(true),
  ArgMin: argument(false),
  CumSum: cumulativeSum,
};

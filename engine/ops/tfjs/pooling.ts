import { intOf, intsOf } from '../../graph/graph';
import { elementCount } from '../../graph/tensor';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { type Window, resolveWindow, windowAttributes, windowOutput } from '../shapeHelpers';
import { asImages, asSequences, padded } from './convolution';
import { range } from './layout';

type T4 = import('@tensorflow/tfjs-core').Tensor4D;
type T5 = import('@tensorflow/tfjs-core').Tensor5D;

interface Pool extends Window {
  readonly input: readonly number[];
  readonly output: readonly number[];
  /** `pads` as the node states them; `pads` of the window itself also holds what ceil_mode adds at the end. */
  readonly stated: readonly number[];
}

function poolOf(context: LoweringContext): Pool {
  const { node } = context;
  const input = context.shape(0).slice(2);
  const window = resolveWindow(input, intsOf(node, 'kernel_shape') ?? [], windowAttributes(node));
  const rank = input.length;
  if (rank > 3) context.fail(`tfjs has pools over at most three axes, not ${rank}`);
  const output = input.map((size, i) => windowOutput(size, window, i, intOf(node, 'ceil_mode', 0) === 1) as number);
  const begin = window.pads.slice(0, rank);
  const end = output.map((o, i) => {
    const reach = (o - 1) * (window.strides[i] ?? 1) + ((window.kernel[i] ?? 1) - 1) * (window.dilations[i] ?? 1) + 1;
    return reach - (input[i] ?? 1) - (begin[i] ?? 0);
  });
  return { ...window, pads: [...begin, ...end], stated: window.pads, input, output };
}

/** The kernels of tfjs, over [N, ..., C] padded beforehand. */
function pooled(tf: TfjsModule, x: TfjsTensor, { kernel, strides }: Pool, kind: 'max' | 'avg'): TfjsTensor {
  const line = kernel.length === 1;
  if (kernel.length === 3) {
    const [size, step] = [kernel, strides] as unknown as [[number, number, number], [number, number, number]];
    return kind === 'max' ? tf.maxPool3d(x as T5, size, step, 'valid') : tf.avgPool3d(x as T5, size, step, 'valid');
  }
  const [size, step] = [line ? [1, ...kernel] : kernel, line ? [1, ...strides] : strides] as unknown as [
    [number, number],
    [number, number],
  ];
  const images = asImages(tf, x) as T4;
  return asSequences(tf, kind === 'max' ? tf.maxPool(images, size, step, 'valid') : tf.avgPool(images, size, step, 'valid'), kernel.length);
}

/** Where each kernel tap lies in the window, in row-major order. */
const tapsOf = ({ kernel, dilations }: Pool): number[][] =>
  range(0, elementCount(kernel)).map((flat) =>
    kernel.map((k, i) => (Math.floor(flat / elementCount(kernel.slice(i + 1))) % k) * (dilations[i] ?? 1)),
  );

/** What a kernel tap sees of [N, C, ...]. */
function seenBy(tf: TfjsModule, x: TfjsTensor, { strides, output }: Pool, at: readonly number[]): TfjsTensor {
  const end = at.map((a, i) => a + ((output[i] ?? 1) - 1) * (strides[i] ?? 1) + 1);
  return tf.stridedSlice(x, [0, 0, ...at], [x.shape[0], x.shape[1] ?? 1, ...end], [1, 1, ...strides]);
}

const border = (pads: readonly number[]): [number, number][] => {
  const rank = pads.length / 2;
  return [[0, 0], [0, 0], ...range(0, rank).map((i): [number, number] => [pads[i] ?? 0, pads[i + rank] ?? 0])];
};

export const maxPoolLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const pool = poolOf(context);
  const indexed = Boolean(node.outputs[1]);
  if (indexed || pool.dilations.some((d) => d !== 1)) return maxByTaps(context, pool, indexed);
  const x = tf.cast(context.channelsLast(0), 'float32');
  return { channelsLast: pooled(tf, padded(tf, x, pool, -Infinity, false).x, pool, 'max') };
};

/** The largest tap and its flat position in the unpadded input; the first where several are largest. */
function maxByTaps(context: LoweringContext, pool: Pool, indexed: boolean): TfjsTensor[] {
  const { tf, node } = context;
  const x = tf.cast(context.input(0), 'float32');
  const bordered = tf.pad(x, border(pool.pads), -Infinity);
  const positionsAt = (at: readonly number[]): TfjsTensor =>
    tf.tensor(planePositions(pool, at, intOf(node, 'storage_order', 0) === 1), [1, 1, ...pool.output], 'int32');
  const [first = [], ...others] = tapsOf(pool);
  let [best, index] = [seenBy(tf, bordered, pool, first), positionsAt(first)];
  for (const at of others) {
    const [larger, itsIndex] = tf.tidy<[TfjsTensor, TfjsTensor]>(() => {
      const value = seenBy(tf, bordered, pool, at);
      return [tf.maximum(best, value), indexed ? tf.where(tf.greater(value, best), positionsAt(at), index) : index];
    });
    best.dispose();
    if (indexed) index.dispose();
    [best, index] = [larger, itsIndex];
  }
  if (!indexed) return [best];
  const [batch = 1, channels = 1] = x.shape;
  const planes = tf.mul(tf.range(0, batch * channels, 1, 'int32'), tf.scalar(elementCount(pool.input), 'int32'));
  return [best, tf.add(index, tf.reshape(planes, [batch, channels, ...pool.input.map(() => 1)]))];
}

/** Position within the unpadded plane that a tap sees at every output. */
function planePositions({ input, output, strides, pads }: Pool, at: readonly number[], columnMajor: boolean): Int32Array {
  const weight = input.map((_, i) => (columnMajor ? elementCount(input.slice(0, i)) : elementCount(input.slice(i + 1))));
  return Int32Array.from({ length: elementCount(output) }, (_, flat) =>
    output.reduce((sum, size, i) => {
      const o = Math.floor(flat / elementCount(output.slice(i + 1))) % size;
      return sum + (o * (strides[i] ?? 1) + (at[i] ?? 0) - (pads[i] ?? 0)) * (weight[i] ?? 1);
    }, 0),
  );
}

/** Sum over each window of [N, ..., C], zeros outside. */
function windowSums(context: LoweringContext, pool: Pool, apply: (x: TfjsTensor) => TfjsTensor): { channelsLast: TfjsTensor } | TfjsTensor {
  const { tf } = context;
  if (pool.dilations.some((d) => d !== 1)) {
    const x = tf.pad(apply(tf.cast(context.input(0), 'float32')), border(pool.pads));
    return tf.addN(tapsOf(pool).map((at) => seenBy(tf, x, pool, at)));
  }
  const x = apply(tf.cast(context.channelsLast(0), 'float32'));
  return { channelsLast: tf.mul(pooled(tf, padded(tf, x, pool, 0, false).x, pool, 'avg'), elementCount(pool.kernel)) };
}

/** How many inputs each window averages; with count_include_pad those of the stated border too. */
function windowCounts({ kernel, strides, dilations, stated, input, output }: Pool, includePad: boolean): Float32Array {
  const rank = kernel.length;
  const perAxis = output.map((size, axis) =>
    range(0, size).map((o) => {
      const start = o * (strides[axis] ?? 1) - (stated[axis] ?? 0);
      const [low, high] = includePad ? [-(stated[axis] ?? 0), (input[axis] ?? 1) + (stated[axis + rank] ?? 0)] : [0, input[axis] ?? 1];
      return range(0, kernel[axis] ?? 1).filter((k) => {
        const at = start + k * (dilations[axis] ?? 1);
        return at >= low && at < high;
      }).length;
    }),
  );
  return Float32Array.from(perAxis.reduce<number[]>((all, counts) => all.flatMap((a) => counts.map((c) => a * c)), [1]));
}

export const averagePoolLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const pool = poolOf(context);
  const sums = windowSums(context, pool, (x) => x);
  const counts = windowCounts(pool, intOf(node, 'count_include_pad', 0) === 1);
  if (!('channelsLast' in sums)) return tf.div(sums, tf.tensor(counts, [1, 1, ...pool.output]));
  return { channelsLast: tf.div(sums.channelsLast, tf.tensor(counts, [1, ...pool.output, 1])) };
};

export const lpPoolLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const p = intOf(node, 'p', 2);
  const sums = windowSums(context, poolOf(context), (x) => tf.pow(tf.abs(x), p));
  return 'channelsLast' in sums ? { channelsLast: tf.pow(sums.channelsLast, 1 / p) } : tf.pow(sums, 1 / p);
};

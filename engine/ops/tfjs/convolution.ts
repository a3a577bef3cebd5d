import { intOf, intsOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { type Window, resolveWindow, windowAttributes } from '../shapeHelpers';
import { range } from './layout';

type T4 = import('@tensorflow/tfjs-core').Tensor4D;
type T5 = import('@tensorflow/tfjs-core').Tensor5D;

/** Values with one spatial axis are seen as images of height one. */
export function asImages(tf: TfjsModule, x: TfjsTensor): TfjsTensor {
  return x.rank === 3 ? tf.reshape(x, [x.shape[0], 1, x.shape[1] ?? 1, x.shape[2] ?? 1]) : x;
}

export function asSequences(tf: TfjsModule, y: TfjsTensor, spatial: number): TfjsTensor {
  return spatial === 1 ? tf.reshape(y, [y.shape[0], y.shape[2] ?? 1, y.shape[3] ?? 1]) : y;
}

/** What `same` of tfjs pads: at the end first. */
function isSame({ kernel, strides, dilations, pads }: Window, sizes: readonly number[]): boolean {
  return kernel.every((k, i) => {
    const [size, stride] = [sizes[i] ?? 1, strides[i] ?? 1];
    const total = Math.max((Math.ceil(size / stride) - 1) * stride + (k - 1) * (dilations[i] ?? 1) + 1 - size, 0);
    return pads[i] === Math.floor(total / 2) && pads[i + kernel.length] === total - Math.floor(total / 2);
  });
}

/**
 * [N, ..., C] made ready for a window: no backend of tfjs knows all paddings, so whatever is neither none nor `same` is padded
 * (or, where negative, cut) beforehand.
 */
export function padded(
  tf: TfjsModule,
  x: TfjsTensor,
  window: Window,
  value = 0,
  allowSame = true,
): { x: TfjsTensor; pad: 'valid' | 'same' } {
  const rank = window.kernel.length;
  if (window.pads.every((p) => p === 0)) return { x, pad: 'valid' };
  if (allowSame && isSame(window, x.shape.slice(1, -1))) return { x, pad: 'same' };
  const begin = range(0, rank).map((i) => window.pads[i] ?? 0);
  const end = range(0, rank).map((i) => window.pads[i + rank] ?? 0);
  const cutStart = begin.map((p) => Math.max(0, -p));
  const cutSize = begin.map((p, i) => (x.shape[i + 1] ?? 1) + Math.min(0, p) + Math.min(0, end[i] ?? 0));
  const cut = [...begin, ...end].some((p) => p < 0) ? tf.slice(x, [0, ...cutStart, 0], [x.shape[0], ...cutSize, x.shape.at(-1) ?? 1]) : x;
  const border = begin.map((p, i): [number, number] => [Math.max(0, p), Math.max(0, end[i] ?? 0)]);
  return { x: tf.pad(cut, [[0, 0], ...border, [0, 0]], value), pad: 'valid' };
}

/** [M, C, k...] to [k..., C, M]. */
const filterOf = (tf: TfjsModule, w: TfjsTensor): TfjsTensor => tf.transpose(w, [...range(2, w.rank), 1, 0]);

/** Puts zeros between the taps of [k..., C, M], where a backend has no dilation of its own. */
function dilated(tf: TfjsModule, filter: TfjsTensor, dilations: readonly number[]): TfjsTensor {
  return dilations.reduce((w, d, axis) => {
    if (d === 1) return w;
    const [before, size, after] = [w.shape.slice(0, axis), w.shape[axis] ?? 1, w.shape.slice(axis + 1)];
    const rows = tf.reshape(w, [...before, size, 1, ...after]);
    const spread = tf.pad(rows, [
      ...before.map((): [number, number] => [0, 0]),
      [0, 0],
      [0, d - 1],
      ...after.map((): [number, number] => [0, 0]),
    ]);
    const full = tf.reshape(spread, [...before, size * d, ...after]);
    return tf.slice(
      full,
      full.shape.map(() => 0),
      [...before, (size - 1) * d + 1, ...after],
    );
  }, filter);
}

interface Prepared {
  readonly tf: TfjsModule;
  readonly x: TfjsTensor;
  readonly pad: 'valid' | 'same';
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
}

/** One group: x [N, ..., C], filter [k..., C, M]. */
function convolve({ tf, x, pad, strides, dilations }: Prepared, filter: TfjsTensor): TfjsTensor {
  const plain = dilations.every((d) => d === 1) || (strides.length < 3 && strides.every((s) => s === 1));
  const kernel = plain ? filter : dilated(tf, filter, dilations);
  const steps = plain ? dilations : dilations.map(() => 1);
  if (strides.length === 3) return tf.conv3d(x as T5, kernel as T5, strides as [number, number, number], pad);
  return tf.conv2d(x as T4, kernel as T4, strides as [number, number], pad, 'NHWC', steps as [number, number]);
}

/** All groups of one channel at once. tfjs wants equal strides here. */
function depthwise({ tf, x, pad, strides, dilations }: Prepared, filter: TfjsTensor): TfjsTensor {
  const channels = x.shape.at(-1) ?? 1;
  const [height = 1, width = 1, , filters = 1] = filter.shape;
  const perChannel = tf.reshape(filter, [height, width, channels, filters / channels]);
  return tf.depthwiseConv2d(x as T4, perChannel as T4, strides as [number, number], pad, 'NHWC', dilations as [number, number]);
}

function grouped(tf: TfjsModule, prepared: Prepared, filter: TfjsTensor, groups: number): TfjsTensor {
  if (groups === 1) return convolve(prepared, filter);
  const channels = prepared.x.shape.at(-1) ?? 1;
  const { strides, dilations } = prepared;
  const uniform = strides.length === 2 && strides[0] === strides[1] && (strides[0] === 1 || dilations.every((d) => d === 1));
  if (channels === groups && uniform) return depthwise(prepared, filter);
  const inputs = tf.split(prepared.x, groups, -1);
  const filters = tf.split(filter, groups, -1);
  return tf.concat(
    inputs.map((x, i) => convolve({ ...prepared, x }, filters[i] as TfjsTensor)),
    -1,
  );
}

export const convLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const w = context.input(1);
  const kernel = w.shape.slice(2);
  if (kernel.length > 3) context.fail(`tfjs has convolutions over at most three axes, not ${kernel.length}`);
  const window = resolveWindow(context.shape(0).slice(2), kernel, windowAttributes(node));
  const { x, pad } = padded(tf, context.channelsLast(0), window);
  const line = kernel.length === 1;
  const wide = (values: readonly number[]): readonly number[] => (line ? [values[0] ?? 1, values[0] ?? 1] : values);
  const filter = filterOf(tf, w);
  const prepared = { tf, x: asImages(tf, x), pad, strides: wide(window.strides), dilations: wide(window.dilations) };
  const y = grouped(tf, prepared, line ? tf.expandDims(filter, 0) : filter, intOf(node, 'group', 1));
  return { channelsLast: withBias(context, asSequences(tf, y, kernel.length)) };
};

const withBias = (context: LoweringContext, y: TfjsTensor): TfjsTensor => (context.has(2) ? context.tf.add(y, context.input(2)) : y);

/** Without padding, then cut and extended to what the node asks for. */
export const convTransposeLowering: TfjsLowering = (context) => {
  const { tf, node } = context;
  const w = context.input(1);
  const x = context.channelsLast(0);
  const kernel = w.shape.slice(2);
  const rank = kernel.length;
  if (rank > 3) context.fail(`tfjs has convolutions over at most three axes, not ${rank}`);
  const attributes = windowAttributes(node);
  const strides = attributes.strides ?? kernel.map(() => 1);
  const dilations = attributes.dilations ?? kernel.map(() => 1);
  const groups = intOf(node, 'group', 1);
  const inputs = groups === 1 ? [x] : tf.split(x, groups, -1);
  const weights = groups === 1 ? [w] : tf.split(w, groups, 0);
  const parts = inputs.map((part, i) => transposed(tf, part, weights[i] as TfjsTensor, strides, dilations));
  const full = parts.length === 1 ? (parts[0] as TfjsTensor) : tf.concat(parts, -1);
  const sizes = full.shape.slice(1, -1);
  const { begin, wanted } = transposeOutput(node, x.shape.slice(1, -1), sizes, strides);
  const kept = sizes.map((size, i) => Math.min(size - (begin[i] ?? 0), wanted[i] ?? 1));
  const cut = tf.slice(full, [0, ...begin, 0], [full.shape[0], ...kept, full.shape.at(-1) ?? 1]);
  const y = tf.pad(cut, [[0, 0], ...wanted.map((size, i): [number, number] => [0, size - (kept[i] ?? 0)]), [0, 0]]);
  return { channelsLast: withBias(context, y) };
};

/** Offset of the output within the full result, and its size. */
function transposeOutput(
  node: LoweringContext['node'],
  input: readonly number[],
  full: readonly number[],
  strides: readonly number[],
): { begin: number[]; wanted: number[] } {
  const rank = full.length;
  const { pads = Array<number>(2 * rank).fill(0), autoPad } = windowAttributes(node);
  const extra = intsOf(node, 'output_padding') ?? full.map(() => 0);
  const stated =
    intsOf(node, 'output_shape')?.slice(-rank) ?? (autoPad.startsWith('SAME') ? input.map((s, i) => s * (strides[i] ?? 1)) : undefined);
  if (!stated)
    return {
      begin: pads.slice(0, rank),
      wanted: full.map((size, i) => size + (extra[i] ?? 0) - (pads[i] ?? 0) - (pads[i + rank] ?? 0)),
    };
  const totals = full.map((size, i) => Math.max(0, size + (extra[i] ?? 0) - (stated[i] ?? 1)));
  const begin = totals.map((t) => (autoPad === 'SAME_UPPER' ? Math.floor(t / 2) : t - Math.floor(t / 2)));
  return { begin, wanted: [...stated] };
}

/** x [N, ..., C], w [C, M, k...] to [N, ..., M] of the full size (size - 1) stride + (k - 1) dilation + 1. */
function transposed(tf: TfjsModule, x: TfjsTensor, w: TfjsTensor, strides: readonly number[], dilations: readonly number[]): TfjsTensor {
  const rank = strides.length;
  const filter = dilated(tf, tf.transpose(w, [...range(2, w.rank), 1, 0]), dilations);
  const sizes = strides.map((s, i) => ((x.shape[i + 1] ?? 1) - 1) * s + (filter.shape[i] ?? 1));
  const [batch, filters] = [x.shape[0], filter.shape.at(-2) ?? 1];
  if (rank === 3)
    return tf.conv3dTranspose(
      x as T5,
      filter as T5,
      [batch, ...sizes, filters] as [number, number, number, number, number],
      strides as [number, number, number],
      'valid',
    );
  const line = rank === 1;
  const y = tf.conv2dTranspose(
    asImages(tf, x) as T4,
    (line ? tf.expandDims(filter, 0) : filter) as T4,
    [batch, ...(line ? [1] : []), ...sizes, filters] as [number, number, number, number],
    (line ? [1, strides[0] ?? 1] : strides) as [number, number],
    'valid',
  );
  return asSequences(tf, y, rank);
}

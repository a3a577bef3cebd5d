import { floatOf, intOf, intsOf, stringOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { range } from './layout';

interface Axis {
  readonly axis: number;
  readonly size: number;
  readonly output: number;
  readonly scale: number;
  /** Region of interest, for tf_crop_and_resize. */
  readonly roi: readonly [number, number];
}

interface Sampling {
  readonly mode: string;
  readonly transformation: string;
  readonly nearest: string;
  readonly cubic: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  readonly extrapolation: number;
}

/** Every axis that changes is a product with its interpolation matrix, built on the host (ONNX's definition of Resize). */
export const resizeLowering: TfjsLowering = (context) => {
  const { tf } = context;
  const sampling = samplingOf(context);
  return axesOf(context)
    .filter(({ size, output, scale }) => size !== output || scale !== 1 || sampling.transformation === 'tf_crop_and_resize')
    .reduce((x, axis) => resample(tf, x, axis, sampling), tf.cast(context.input(0), 'float32'));
};

function samplingOf({ node, opset }: LoweringContext): Sampling {
  return {
    mode: stringOf(node, 'mode', 'nearest'),
    transformation: stringOf(node, 'coordinate_transformation_mode', opset < 11 ? 'asymmetric' : 'half_pixel'),
    nearest: stringOf(node, 'nearest_mode', opset < 11 ? 'floor' : 'round_prefer_floor'),
    cubic: floatOf(node, 'cubic_coeff_a', -0.75),
    antialias: intOf(node, 'antialias', 0) === 1,
    excludeOutside: intOf(node, 'exclude_outside', 0) === 1,
    extrapolation: floatOf(node, 'extrapolation_value', 0),
  };
}

function axesOf(context: LoweringContext): Axis[] {
  const { node, opset } = context;
  const shape = context.shape(0);
  const rank = shape.length;
  const axes = intsOf(node, 'axes')?.map((a) => (a < 0 ? a + rank : a)) ?? range(0, rank);
  const old = node.op === 'Upsample' || opset < 11;
  const numbers = (i: number): readonly number[] => (context.has(i) ? context.numbers(i) : []);
  const stated = node.attributes.get('scales');
  const scales = stated?.kind === 'floats' ? stated.value : numbers(old ? 1 : 2);
  const sizes = old ? [] : numbers(3);
  const roi = old ? [] : numbers(1);
  const ratios = sizes.map((s, k) => s / (shape[axes[k] ?? 0] ?? 1));
  const policy = stringOf(node, 'keep_aspect_ratio_policy', 'stretch');
  const common =
    sizes.length === 0 || policy === 'stretch' ? undefined : policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map((axis, k): Axis => {
    const size = shape[axis] ?? 1;
    const region = [roi[k] ?? 0, roi[k + axes.length] ?? 1] as const;
    if (sizes.length > 0) {
      const output = common === undefined ? (sizes[k] ?? size) : Math.round(size * common);
      return { axis, size, output, scale: common ?? output / size, roi: region };
    }
    const scale = scales[k] ?? 1;
    return { axis, size, output: Math.floor(size * scale), scale, roi: region };
  });
}

/** Where output position `o` lies in the input. */
function sourceOf({ size, output, scale, roi }: Axis, transformation: string, o: number): number {
  switch (transformation) {
    case 'asymmetric':
      return o / scale;
    case 'align_corners':
      return size * scale === 1 || output === 1 ? 0 : (o * (size - 1)) / (size * scale - 1);
    case 'pytorch_half_pixel':
      return output > 1 ? (o + 0.5) / scale - 0.5 : 0;
    case 'half_pixel_symmetric': {
      const adjustment = output / (scale * size);
      return (size / 2) * (1 - adjustment) + (o + 0.5) / scale - 0.5;
    }
    case 'tf_half_pixel_for_nn':
      return (o + 0.5) / scale;
    case 'tf_crop_and_resize':
      return output > 1 ? roi[0] * (size - 1) + (o * (roi[1] - roi[0]) * (size - 1)) / (output - 1) : 0.5 * (roi[0] + roi[1]) * (size - 1);
    default:
      return (o + 0.5) / scale - 0.5;
  }
}

const NEAREST: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

const hat = (x: number): number => Math.max(0, 1 - Math.abs(x));

/** Keys's cubic convolution kernel. */
function cubicKernel(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

/** Weights of the input positions for one output position; positions outside count for the nearest one inside. */
function weightsOf(axis: Axis, sampling: Sampling, source: number): Float32Array {
  const weights = new Float32Array(axis.size);
  const inside = (at: number): number => Math.min(Math.max(at, 0), axis.size - 1);
  if (sampling.mode === 'nearest') {
    weights[inside((NEAREST[sampling.nearest] ?? Math.floor)(source))] = 1;
    return weights;
  }
  const cubic = sampling.mode === 'cubic';
  const stretch = sampling.antialias ? Math.min(1, axis.scale) : 1;
  const reach = Math.ceil((cubic ? 2 : 1) / stretch);
  const taps = range(Math.floor(source) - reach, Math.floor(source) + reach + 2).map((at) => {
    const x = (at - source) * stretch;
    const weight = cubic ? cubicKernel(x, sampling.cubic) : hat(x);
    return { at, weight: sampling.excludeOutside && at !== inside(at) ? 0 : weight };
  });
  const total = taps.reduce((sum, { weight }) => sum + weight, 0);
  for (const { at, weight } of taps) weights[inside(at)] = (weights[inside(at)] ?? 0) + weight / total;
  return weights;
}

function resample(tf: TfjsModule, x: TfjsTensor, axis: Axis, sampling: Sampling): TfjsTensor {
  const matrix = new Float32Array(axis.output * axis.size);
  const outside = new Float32Array(axis.output);
  for (let o = 0; o < axis.output; o++) {
    const source = sourceOf(axis, sampling.transformation, o);
    if (sampling.transformation === 'tf_crop_and_resize' && (source < 0 || source > axis.size - 1)) outside[o] = sampling.extrapolation;
    else matrix.set(weightsOf(axis, sampling, source), o * axis.size);
  }
  const perm = [...range(0, x.rank).filter((i) => i !== axis.axis), axis.axis];
  const last = tf.transpose(x, perm);
  const rows = tf.reshape(last, [-1, axis.size]);
  const product = tf.matMul(rows, tf.tensor2d(matrix, [axis.output, axis.size]), false, true);
  const covered = tf.tensor1d(
    Float32Array.from({ length: axis.output }, (_, o) =>
      matrix.subarray(o * axis.size, (o + 1) * axis.size).some((w) => w !== 0) ? 1 : 0,
    ),
  );
  const filled = outside.some((v) => v !== 0) ? tf.add(tf.mul(product, covered), tf.tensor1d(outside)) : product;
  const resized = tf.reshape(filled, [...last.shape.slice(0, -1), axis.output]);
  return tf.transpose(
    resized,
    perm.map((_, i) => perm.indexOf(i)),
  );
}

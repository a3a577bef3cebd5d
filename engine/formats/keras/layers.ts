import type { Tensor } from '../../graph/tensor';
import { emitActivation } from './activations';
import { type LayerContext, permuted } from './convertKeras';

/** Emits a layer without its activation and gives its value. */
type ConvertLayer = (context: LayerContext) => string;

const same: ConvertLayer = ({ x }) => x;

/** Layers by class name. */
export const LAYERS: Readonly<Record<string, ConvertLayer>> = {
  Conv2D: (c) => conv(c, 'kernel', (t) => permuted(t, [3, 2, 0, 1]), c.number('groups', 1)),
  DepthwiseConv2D: (c) => conv(c, 'depthwise_kernel', depthwiseKernel, c.size(c.x, 1)),
  SeparableConv2D: separableConv,
  Dense: dense,
  BatchNormalization: batchNormalization,
  Activation: (c) => emitActivation(c, c.x, c.layer.config.activation as string),
  ReLU: relu,
  LeakyReLU: (c) => c.emit('LeakyRelu', [c.x], { alpha: { float: c.number('alpha', c.number('negative_slope', 0.3)) } }),
  ELU: (c) => c.emit('Elu', [c.x], { alpha: { float: c.number('alpha', 1) } }),
  Softmax: (c) => c.emit('Softmax', [c.x], { axis: c.axis(c.x, c.number('axis', -1)) }),
  MaxPooling2D: (c) => pool(c, 'MaxPool', {}),
  AveragePooling2D: (c) => pool(c, 'AveragePool', { count_include_pad: 0 }),
  GlobalAveragePooling2D: (c) => globalPool(c, 'GlobalAveragePool'),
  GlobalMaxPooling2D: (c) => globalPool(c, 'GlobalMaxPool'),
  ZeroPadding2D: zeroPadding,
  UpSampling2D: upSampling,
  Flatten: (c) => reshape(c, [-1]),
  Reshape: (c) => reshape(c, c.layer.config.target_shape as number[]),
  Dropout: (c) => c.emit('Dropout', [c.x, c.scalar(c.number('rate', 0.5))]),
  SpatialDropout2D: same,
  GaussianNoise: same,
  Add: (c) => fold(c, 'Add'),
  Subtract: (c) => fold(c, 'Sub'),
  Multiply: (c) => fold(c, 'Mul'),
  Maximum: (c) => fold(c, 'Max'),
  Average: (c) => c.emit('Div', [fold(c, 'Add', 'sum'), c.scalar(c.inputs.length)]),
  Concatenate: (c) => c.emit('Concat', c.inputs, { axis: c.axis(c.x, c.number('axis', -1)) }),
};

/** [kh, kw, C, multiplier] to [C * multiplier, 1, kh, kw]. */
function depthwiseKernel(tensor: Tensor): Tensor {
  const [rows = 1, columns = 1, channels = 1, multiplier = 1] = tensor.dims;
  return { ...permuted(tensor, [2, 3, 0, 1]), dims: [channels * multiplier, 1, rows, columns] };
}

function conv(c: LayerContext, weight: string, arrange: (tensor: Tensor) => Tensor, group: number): string {
  const inputs = [c.x, c.requiredWeight(weight, arrange), c.weight('bias')].filter((name): name is string => name !== undefined);
  const window = convWindow(c, c.pair('kernel_size', 1), c.pair('dilation_rate', 1));
  return c.emit('Conv', inputs, { ...window, group });
}

function separableConv(c: LayerContext): string {
  const window = convWindow(c, c.pair('kernel_size', 1), c.pair('dilation_rate', 1));
  const depthwise = c.emit(
    'Conv',
    [c.x, c.requiredWeight('depthwise_kernel', depthwiseKernel)],
    { ...window, group: c.size(c.x, 1) },
    'depthwise',
  );
  const pointwise = c.requiredWeight('pointwise_kernel', (t) => permuted(t, [3, 2, 0, 1]));
  const inputs = [depthwise, pointwise, c.weight('bias')].filter((name): name is string => name !== undefined);
  return c.emit('Conv', inputs, { kernel_shape: [1, 1] });
}

function convWindow(c: LayerContext, kernel: readonly number[], dilations: readonly number[]): Record<string, readonly number[]> {
  c.requireChannelsLast();
  return { kernel_shape: kernel, ...placing(c, kernel, dilations, c.pair('strides', 1)), dilations };
}

function pool(c: LayerContext, op: string, attributes: Readonly<Record<string, number>>): string {
  c.requireChannelsLast();
  const kernel = c.pair('pool_size', 2);
  const strides = c.layer.config.strides ? c.pair('strides', 2) : kernel;
  return c.emit(op, [c.x], { kernel_shape: kernel, ...placing(c, kernel, [1, 1], strides), ...attributes });
}

/** TensorFlow's "same" gives ceil(size / stride) positions, with the odd element of padding behind. */
function placing(
  c: LayerContext,
  kernel: readonly number[],
  dilations: readonly number[],
  strides: readonly number[],
): Record<string, readonly number[]> {
  const { padding = 'valid' } = c.layer.config;
  if (padding !== 'same' && padding !== 'valid') return c.fail(`padding ${String(padding)} cannot be read`);
  const totals = kernel.map((k, i) => {
    if (padding === 'valid') return 0;
    const [size, stride] = [c.size(c.x, i + 2), strides[i] ?? 1];
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + (k - 1) * (dilations[i] ?? 1) + 1 - size);
  });
  return { strides, pads: [...totals.map((t) => Math.floor(t / 2)), ...totals.map((t) => Math.ceil(t / 2))] };
}

function globalPool(c: LayerContext, op: string): string {
  const pooled = c.emit(op, [c.x]);
  return c.layer.config.keepdims === true ? pooled : c.emit('Flatten', [pooled], { axis: 1 }, 'flatten');
}

function dense(c: LayerContext): string {
  const bias = c.weight('bias');
  if (c.shape(c.x).length === 2) {
    const kernel = c.requiredWeight('kernel', (t) => permuted(t, [1, 0]));
    return c.emit('Gemm', bias === undefined ? [c.x, kernel] : [c.x, kernel, bias], { transB: 1 });
  }
  if (c.shape(c.x).length === 4) return c.fail('a dense layer over images cannot be read');
  const product = c.emit('MatMul', [c.x, c.requiredWeight('kernel')]);
  return bias === undefined ? product : c.emit('Add', [product, bias], {}, 'bias_add');
}

function batchNormalization(c: LayerContext): string {
  const { axis = -1 } = c.layer.config;
  const at = c.axis(c.x, Array.isArray(axis) ? (axis[0] as number) : (axis as number));
  if (at !== 1) return c.fail(`it normalises axis ${at}; only the channels can be read`);
  const [mean, variance] = [c.requiredWeight('moving_mean'), c.requiredWeight('moving_variance')];
  const channels = c.size(c.x, 1);
  const gamma = c.weight('gamma') ?? c.floats(new Array<number>(channels).fill(1));
  const beta = c.weight('beta') ?? c.floats(new Array<number>(channels).fill(0));
  const attributes = { epsilon: { float: c.number('epsilon', 1e-3) }, momentum: { float: c.number('momentum', 0.99) } };
  return c.emit('BatchNormalization', [c.x, gamma, beta, mean, variance], attributes);
}

function relu(c: LayerContext): string {
  const largest = c.number('max_value', Infinity);
  const slope = c.number('negative_slope', 0);
  if (c.number('threshold', 0) !== 0) return c.fail('a threshold other than 0 cannot be read');
  if (slope !== 0 && largest !== Infinity) return c.fail('a slope together with a largest value cannot be read');
  if (slope !== 0) return c.emit('LeakyRelu', [c.x], { alpha: { float: slope } });
  return largest === Infinity ? c.emit('Relu', [c.x]) : c.emit('Clip', [c.x, c.scalar(0), c.scalar(largest)]);
}

function zeroPadding(c: LayerContext): string {
  const raw = (c.layer.config.padding ?? 1) as number | readonly (number | readonly number[])[];
  const sides = [0, 1].map((i) => {
    const side = typeof raw === 'number' ? raw : (raw[i] ?? 0);
    return typeof side === 'number' ? [side, side] : side;
  });
  const pads = [0, 1].flatMap((end) => [0, 0, ...sides.map((side) => side[end] ?? 0)]);
  return c.emit('Pad', [c.x, c.ints(pads)]);
}

function upSampling(c: LayerContext): string {
  const { interpolation = 'nearest' } = c.layer.config;
  if (interpolation !== 'nearest') return c.fail(`${String(interpolation)} interpolation cannot be read`);
  const [rows, columns] = c.pair('size', 2);
  const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  return c.emit('Resize', [c.x, '', c.floats([1, 1, rows, columns])], attributes);
}

/** Keras reshapes with channels last; an image goes there and back unless it has one channel or one pixel. */
function reshape(c: LayerContext, target: readonly number[]): string {
  const shape = c.shape(c.x);
  const isFlat = shape.length !== 4 || shape[1] === 1 || (shape[2] === 1 && shape[3] === 1);
  const flat = isFlat ? c.x : c.emit('Transpose', [c.x], { perm: [0, 2, 3, 1] }, 'channels_last');
  if (target.length !== 3) return c.emit('Reshape', [flat, c.ints([0, ...target])]);
  const [rows = 1, columns = 1, channels = 1] = target;
  if (channels === 1) return c.emit('Reshape', [flat, c.ints([0, 1, rows, columns])]);
  const shaped = c.emit('Reshape', [flat, c.ints([0, ...target])], {}, 'reshape');
  return c.emit('Transpose', [shaped], { perm: [0, 3, 1, 2] });
}

function fold(c: LayerContext, op: string, suffix = ''): string {
  const [first = '', ...rest] = c.inputs;
  return rest.reduce((sum, input, i) => c.emit(op, [sum, input], {}, i === rest.length - 1 ? suffix : `${op.toLowerCase()}${i}`), first);
}

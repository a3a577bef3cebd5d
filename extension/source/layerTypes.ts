import type { Role } from './sourceModel';

/** Where a constructor states a count: position and keyword of the argument. */
export interface CountArgument {
  readonly role: Role;
  readonly position: number;
  readonly name: string;
}

const counts = (...names: readonly (readonly [Role, number, string])[]): readonly CountArgument[] =>
  names.map(([role, position, name]) => ({ role, position, name }));

const convolution = counts(['inputs', 0, 'in_channels'], ['outputs', 1, 'out_channels'], ['groups', 6, 'groups']);
const normalisation = counts(['outputs', 0, 'num_features']);
const recurrent = counts(['inputs', 0, 'input_size'], ['outputs', 1, 'hidden_size']);
const dimensions = (name: string): string[] => [`${name}1d`, `${name}2d`, `${name}3d`];
const all = (names: readonly string[], value: readonly CountArgument[]): [string, readonly CountArgument[]][] =>
  names.map((name) => [name, value]);

/** Layers of torch.nn that hold weights. */
export const PYTORCH_LAYERS: ReadonlyMap<string, readonly CountArgument[]> = new Map([
  ...all([...dimensions('Conv'), ...dimensions('ConvTranspose')], convolution),
  ...all([...dimensions('BatchNorm'), ...dimensions('InstanceNorm'), 'SyncBatchNorm'], normalisation),
  ...all(['Linear'], counts(['inputs', 0, 'in_features'], ['outputs', 1, 'out_features'])),
  ...all(['GroupNorm'], counts(['outputs', 1, 'num_channels'])),
  ...all(['LayerNorm'], counts(['outputs', 0, 'normalized_shape'])),
  ...all(['PReLU'], counts(['outputs', 0, 'num_parameters'])),
  ...all(['LSTM', 'GRU', 'RNN'], recurrent),
]);

const filters = counts(['outputs', 0, 'filters']);
const units = counts(['outputs', 0, 'units']);
const none = counts();

/** Layers of keras.layers that hold weights; they find their inputs themselves. */
export const KERAS_LAYERS: ReadonlyMap<string, readonly CountArgument[]> = new Map([
  ...all(['Conv1D', 'Conv2D', 'Conv3D', 'Convolution2D', 'Conv2DTranspose', 'SeparableConv2D'], filters),
  ...all(['Dense', 'LSTM', 'GRU', 'SimpleRNN'], units),
  ...all(['DepthwiseConv2D', 'BatchNormalization', 'LayerNormalization'], none),
]);

/** Layers of tf.layers in tfjs: the option that states the count. */
export const TFJS_LAYERS: ReadonlyMap<string, string | undefined> = new Map<string, string | undefined>([
  ...(['conv1d', 'conv2d', 'conv3d', 'conv2dTranspose', 'separableConv2d'] as const).map((name) => [name, 'filters'] as const),
  ...(['dense', 'lstm', 'gru', 'simpleRNN'] as const).map((name) => [name, 'units'] as const),
  ...(['depthwiseConv2d', 'batchNormalization', 'layerNormalization'] as const).map((name) => [name, undefined] as const),
]);

/** The operators of a model file that a layer of source becomes. */
export function operatorsOf(type: string): readonly string[] {
  if (/^(depthwise)?(separable)?conv/i.test(type)) return /transpose/i.test(type) ? ['ConvTranspose'] : ['Conv'];
  if (/norm/i.test(type)) return ['BatchNormalization', 'InstanceNormalization', 'LayerNormalization', 'GroupNormalization'];
  if (/^(linear|dense)$/i.test(type)) return ['Gemm', 'MatMul'];
  if (/rnn$/i.test(type)) return ['RNN'];
  return /^prelu$/i.test(type) ? ['PRelu'] : [type.toUpperCase()];
}

import type { AttributeInput, Emitter } from '../../ops/opRecord';
import { NCHWC } from '../../ops/nchwc';

/** Emits an operator on blocked activations. */
export const nchwc = (emitter: Emitter, op: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string =>
  emitter.emit(op, inputs, attributes, { domain: NCHWC });

/** Reinterprets memory; operators of the standard domain see blocked activations as plain bytes. */
export const reshape = (emitter: Emitter, value: string, dims: readonly number[]): string =>
  emitter.emit('Reshape', [value, emitter.ints(dims)]);

export const transpose = (emitter: Emitter, value: string, dims: readonly number[], perm: readonly number[]): string =>
  emitter.emit('Transpose', [reshape(emitter, value, dims)], { perm });

export const concat = (emitter: Emitter, values: readonly string[], axis: number): string =>
  values.length === 1 ? (values[0] as string) : emitter.emit('Concat', values, { axis });

export const sumOver = (emitter: Emitter, value: string, axis: number): string =>
  emitter.emit('ReduceSum', [value, emitter.ints([axis])], { keepdims: 0 });

/** y = scale x + offset (+ addend) by channel, as one depthwise 1x1 convolution; `addend` is written into where nothing else reads it. */
export function perChannel(
  emitter: Emitter,
  x: string,
  scale: string,
  offset = '',
  addend = '',
  attributes: Record<string, AttributeInput> = {},
): string {
  const channels = emitter.shape(x)[1] ?? 1;
  const inputs = [x, reshape(emitter, scale, [channels, 1, 1, 1]), offset, addend];
  return nchwc(emitter, 'Conv', trimmed(inputs), { kernel_shape: [1, 1], group: channels, ...attributes });
}

const trimmed = (inputs: readonly string[]): string[] => inputs.slice(0, inputs.findLastIndex((i) => i !== '') + 1);

export { trimmed as withoutTrailing };

/** Sum over batch and positions of x, by channel, divided by the number of positions. */
export function channelSums(emitter: Emitter, x: string): string {
  const [batch = 1, channels = 1] = emitter.shape(x);
  return sumOver(emitter, reshape(emitter, nchwc(emitter, 'GlobalAveragePool', [x]), [batch, channels]), 0);
}

/** Sum over batch and positions of a b, by channel: a blocked activation is a valid depthwise filter as it lies in memory. */
export function channelDots(emitter: Emitter, a: string, b: string): string {
  const [batch = 1, channels = 1, height = 1, width = 1] = emitter.shape(a);
  const image = reshape(emitter, a, [1, batch * channels, height, width]);
  const filter = reshape(emitter, b, [batch * channels, 1, height, width]);
  const dots = nchwc(emitter, 'Conv', [image, filter], { kernel_shape: [height, width], group: batch * channels });
  return sumOver(emitter, reshape(emitter, dots, [batch, channels]), 0);
}

/** A plain tensor [N, C, H, W] as blocked activation, with zero channels up to a whole block. */
export function enterBlocks(emitter: Emitter, x: string, block: number): string {
  const [batch = 1, channels = 1, ...plane] = emitter.shape(x);
  const missing = Math.ceil(channels / block) * block - channels;
  const whole = missing === 0 ? x : concat(emitter, [x, emitter.zeros([batch, missing, ...plane])], 1);
  return nchwc(emitter, 'ReorderInput', [whole]);
}

/** A blocked activation as plain tensor with `channels` channels. */
export const leaveBlocks = (emitter: Emitter, x: string, channels: number): string => nchwc(emitter, 'ReorderOutput', [x], { channels });

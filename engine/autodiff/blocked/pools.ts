import { type Node, intOf, intsOf } from '../../graph/graph';
import type { GraphBuilder } from '../../ops/graphBuilder';
import type { Emitter, GradientRule } from '../../ops/opRecord';
import { resolveWindow, windowAttributes } from '../../ops/shapeHelpers';
import { concat, nchwc, reshape } from './emit';

/** A pool whose windows tile the input: kernel and stride are equal, nothing is padded or left over. Undefined for others. */
export function tilingKernel(node: Node, shape: readonly number[]): readonly number[] | undefined {
  const kernel = intsOf(node, 'kernel_shape') ?? [];
  if (shape.length !== 4 || node.outputs.length > 1 || intOf(node, 'ceil_mode', 0) === 1) return undefined;
  const { strides, dilations, pads } = resolveWindow(shape.slice(2), kernel, windowAttributes(node));
  const tiles = kernel.every((k, i) => strides[i] === k && dilations[i] === 1 && (shape[i + 2] ?? 0) % k === 0);
  return tiles && pads.every((p) => p === 0) ? kernel : undefined;
}

export const emitPool = (emitter: Emitter, op: string, x: string, kernel: readonly number[]): string =>
  nchwc(emitter, op, [x], { kernel_shape: kernel, strides: kernel });

/**
 * The gradient goes to every input that equals its window's maximum. Where the input was rectified, ties other than at the bounds are
 * chance, and at the bounds the rectifier stops the gradient.
 */
export const maxPoolGradient =
  (kernel: readonly number[]): GradientRule =>
  (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    const spread = (value: string): string => nchwc(context, 'Upsample', [value], { scales: [1, 1, ...kernel] });
    const below = context.emit('Sub', [context.input(0), spread(context.output(0))]);
    const hit = context.emit('HardSigmoid', [below], { alpha: { float: 1e30 }, beta: { float: 1 } });
    return [context.emit('Mul', [spread(g), hit])];
  };

export const averagePoolGradient =
  (kernel: readonly number[]): GradientRule =>
  (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    const share = context.emit('Mul', [g, context.scalar(1 / kernel.reduce((a, b) => a * b, 1))]);
    return [nchwc(context, 'Upsample', [share], { scales: [1, 1, ...kernel] })];
  };

/** Global average of a blocked activation as the plain value `name` [N, channels, 1, 1], whose memory is the same in both layouts. */
export function emitGlobalAverage(builder: GraphBuilder, x: string, name: string, channels: number): void {
  const average = nchwc(builder, 'GlobalAveragePool', [x]);
  const [batch = 1, whole = 1] = builder.shape(average);
  if (whole === channels) builder.emitNamed('Reshape', [average, builder.ints([batch, channels, 1, 1])], {}, [name]);
  else builder.emitNamed('Slice', [average, builder.ints([0]), builder.ints([channels]), builder.ints([1])], {}, [name]);
}

export const globalAverageGradient =
  (block: number): GradientRule =>
  (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    const [batch = 1, channels = 1, height = 1, width = 1] = context.shape(context.input(0));
    const missing = channels - (context.shape(g)[1] ?? 1);
    const share = context.emit('Mul', [g, context.scalar(1 / (height * width))]);
    const whole = missing === 0 ? share : concat(context, [share, context.zeros([batch, missing, 1, 1])], 1);
    const blocks = reshape(context, whole, [batch, channels / block, 1, block]);
    const spread = context.emit('Expand', [blocks, context.ints([batch, channels / block, height * width, block])]);
    return [reshape(context, spread, [batch, channels, height, width])];
  };

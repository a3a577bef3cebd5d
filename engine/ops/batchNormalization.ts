import { floatOf, intOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { CouplingContext, GradientContext, OpRecord, ShapeContext } from './opRecord';
import { inputType } from './shapeHelpers';
import { batchNormLowering } from './tfjs/normalization';

function shape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  const channel = { type: context.input(1)?.type ?? type, shape: x ? [x[1] ?? 1] : undefined };
  const [known, scale] = [x?.[1], context.shape(1)?.[0]];
  if (typeof known === 'number' && typeof scale === 'number' && known !== scale)
    context.fail(`input has ${known} channels but the scale has ${scale}`);
  return context.node.outputs.map((_, i) => (i === 0 ? { type, shape: x } : channel));
}

function coupling(context: CouplingContext): void {
  context.tie(context.in(0, 0), context.out(0, 0));
  context
    .inputShape(0)
    .slice(2)
    .forEach((_, i) => context.tie(context.in(0, i + 2), context.out(0, i + 2)));
  context.tie(context.in(0, 1), context.out(0, 1));
  for (const i of [1, 2, 3, 4]) context.tie(context.in(i, 0), context.out(0, 1));
}

function gradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const layout = channelLayout(context);
  return intOf(context.node, 'training_mode', 0) === 1 ? trainingGradient(context, g, layout) : inferenceGradient(context, g, layout);
}

interface Layout {
  /** Every axis but the channel. */
  readonly axes: readonly number[];
  readonly channels: number;
  /** Shape that broadcasts a channel vector against the input. */
  readonly column: readonly number[];
  /** Samples that one channel's statistics are taken over. */
  readonly count: number;
}

function channelLayout(context: GradientContext): Layout {
  const x = context.shape(context.input(0));
  const channels = x[1] ?? 1;
  return {
    axes: x.map((_, i) => i).filter((i) => i !== 1),
    channels,
    column: x.slice(1).map((d, i) => (i === 0 ? d : 1)),
    count: elementCount(x) / channels,
  };
}

const perChannel = (context: GradientContext, value: string, layout: Layout): string =>
  context.emit('ReduceSum', [value, context.ints(layout.axes)], { keepdims: 0 });
const column = (context: GradientContext, value: string, layout: Layout): string =>
  context.emit('Reshape', [value, context.ints(layout.column)]);

function inverseDeviation(context: GradientContext, variance: string): string {
  const epsilon = context.scalar(floatOf(context.node, 'epsilon', 1e-5));
  return context.emit('Reciprocal', [context.emit('Sqrt', [context.emit('Add', [variance, epsilon])])]);
}

/** y = scale * (x - mean) / sd + bias with constant statistics. */
function inferenceGradient(context: GradientContext, g: string, layout: Layout): (string | undefined)[] {
  const inverse = inverseDeviation(context, context.input(4));
  const factor = column(context, context.emit('Mul', [inverse, context.input(1)]), layout);
  const sum = perChannel(context, g, layout);
  const scale = (): string => scaleGradient(context, g, sum, context.input(3), inverse, layout);
  return [context.wants(0) ? context.emit('Mul', [g, factor]) : undefined, context.wants(1) ? scale() : undefined, sum];
}

/** dscale = (sum(g x) - mean sum(g)) / sd, one pass over the activations. */
function scaleGradient(context: GradientContext, g: string, sum: string, mean: string, inverse: string, layout: Layout): string {
  const product = perChannel(context, context.emit('Mul', [g, context.input(0)]), layout);
  return context.emit('Mul', [inverse, context.emit('Sub', [product, context.emit('Mul', [mean, sum])])]);
}

/**
 * dx = scale/sd (g - sum(g)/m - xhat dscale/m), written as a g + b x + c with channel vectors a, b, c (Ioffe and Szegedy 2015,
 * section 3). Batch statistics are outputs 1 and 2 of a node with momentum 0.
 */
function trainingGradient(context: GradientContext, g: string, layout: Layout): (string | undefined)[] {
  const [mean, variance] = [context.output(1), context.output(2)];
  if (!mean || !variance || floatOf(context.node, 'momentum', 0.9) !== 0)
    context.fail('batch statistics are needed as its outputs (momentum 0) to be differentiated');
  const inverse = inverseDeviation(context, variance);
  const sum = perChannel(context, g, layout);
  const scale = scaleGradient(context, g, sum, mean, inverse, layout);
  if (!context.wants(0)) return [undefined, scale, sum];
  const a = context.emit('Mul', [inverse, context.input(1)]);
  const fraction = context.scalar(-1 / layout.count);
  const b = context.emit('Mul', [context.emit('Mul', [a, inverse]), context.emit('Mul', [scale, fraction])]);
  const c = context.emit('Sub', [context.emit('Mul', [context.emit('Mul', [a, sum]), fraction]), context.emit('Mul', [b, mean])]);
  const scaled = context.emit('Mul', [g, column(context, a, layout)]);
  const zeros = context.floats([layout.channels], new Float32Array(layout.channels));
  const ones = context.floats([layout.channels], new Float32Array(layout.channels).fill(1));
  const affine = context.emit('BatchNormalization', [context.input(0), b, c, zeros, ones], { epsilon: { float: 0 } });
  return [context.emit('Add', [scaled, affine]), scale, sum];
}

export const batchNormalization: OpRecord = {
  op: 'BatchNormalization',
  domain: '',
  opsets: [1, 99],
  inputs: [5, 5],
  outputs: [1, 5],
  shape,
  gradient,
  macs: 'none',
  coupling,
  tfjs: batchNormLowering,
};

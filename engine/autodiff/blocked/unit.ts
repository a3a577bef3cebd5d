import { elementCount } from '../../graph/tensor';
import type { AttributeInput, Emitter, GradientContext, GradientRule, InputGradient } from '../../ops/opRecord';
import type { ForwardNode } from '../backward';
import { channelSums, nchwc, perChannel, reshape, withoutTrailing } from './emit';
import { inputGradient } from './inputGradient';
import { type Statistics, batchStatistics, fixedNormGradients, fixedStatistics, normGradients } from './norm';
import { type BlockedConv, channelsPerGroup } from './sizes';
import { weightGradientForm } from './weightGradient';

/** Upper end of a rectifier: Infinity for Relu, 6 for Relu6. */
export interface Rectifier {
  readonly max: number;
}

export interface UnitConv {
  readonly sizes: BlockedConv;
  readonly weight: string;
  readonly bias: string;
  /** Zeros where merged groups have no weights. */
  readonly mask?: Float32Array;
}

/**
 * A stretch of the network that blocked kernels do together: convolution, batch norm, addition of a residual and
 * rectifier, in this order, each of them optional (one of the first two is there). Values are names in the training graph.
 */
export interface Unit {
  readonly name: string;
  /** Blocked, or plain for an image. */
  readonly x: string;
  readonly conv?: UnitConv;
  readonly norm?: {
    readonly scale: string;
    readonly bias: string;
    readonly runningMean: string;
    /** Given where the running statistics normalise, in place of those of the batch. */
    readonly fixedVariance?: string;
    readonly epsilon: number;
  };
  readonly residual: string;
  readonly rectifier?: Rectifier;
}

export interface EmittedUnit {
  /** Stands for the unit in differentiation. */
  readonly node: ForwardNode;
  readonly y: string;
  /** Batch statistics, [C]. */
  readonly mean?: string;
  readonly variance?: string;
}

/** Emits the forward pass of a unit. */
export function emitUnit(emitter: Emitter, unit: Unit): EmittedUnit {
  const { conv, norm, rectifier } = unit;
  if (!norm) {
    const y = convolve(emitter, unit, conv?.bias ?? '', unit.residual, activation(rectifier));
    return { node: nodeOf(unit, y, (context) => unitGradient(context, unit)), y };
  }
  const { x, shift } = normInput(emitter, unit);
  const statistics =
    norm.fixedVariance === undefined
      ? batchStatistics(emitter, x, norm.epsilon)
      : fixedStatistics(emitter, norm.runningMean, norm.fixedVariance, norm.epsilon);
  const factor = emitter.emit('Mul', [statistics.inverse, norm.scale]);
  const offset = emitter.emit('Sub', [norm.bias, emitter.emit('Mul', [statistics.mean, factor])]);
  const y = perChannel(emitter, x, factor, offset, unit.residual, activation(rectifier));
  const mean = shift ? emitter.emit('Add', [statistics.mean, shift]) : statistics.mean;
  const node = nodeOf(unit, y, (context) => unitGradient(context, unit, { x, statistics }));
  return { node, y, mean, variance: statistics.variance };
}

const nodeOf = ({ name, x, conv, norm, residual }: Unit, y: string, gradient: GradientRule): ForwardNode => ({
  name,
  op: 'Unit',
  domain: '',
  inputs: [x, conv?.weight ?? '', conv?.bias ?? '', norm?.scale ?? '', norm?.bias ?? '', residual],
  outputs: [y],
  attributes: new Map(),
  gradient,
});

const activation = (rectifier: Rectifier | undefined): Record<string, AttributeInput> => {
  if (!rectifier) return {};
  return rectifier.max === Infinity ? { activation: 'Relu' } : { activation: 'Clip', activation_params: { floats: [0, rectifier.max] } };
};

function convolve(
  emitter: Emitter,
  { x, conv, name }: Unit,
  bias: string,
  addend: string,
  attributes: Record<string, AttributeInput>,
): string {
  if (!conv) throw new TypeError(`Unit ${name} has neither convolution nor norm`);
  const { kernel, pads, stride, dilation, groups } = conv.sizes;
  return nchwc(emitter, 'Conv', withoutTrailing([x, conv.weight, bias, addend]), {
    kernel_shape: kernel,
    pads,
    strides: [stride, stride],
    dilations: [dilation, dilation],
    group: groups,
    ...attributes,
  });
}

function normInput(emitter: Emitter, unit: Unit): { x: string; shift?: string } {
  if (!unit.conv) return { x: unit.x };
  return unit.norm?.fixedVariance === undefined ? shifted(emitter, unit) : { x: convolve(emitter, unit, unit.conv.bias, '', {}) };
}

/**
 * The convolution less the running mean, which batch norm does not see: the batch mean is then near zero, and the mean of squares near the
 * variance.
 */
function shifted(emitter: Emitter, unit: Unit): { x: string; shift: string } {
  const [bias, shift] = [unit.conv?.bias ?? '', unit.norm?.runningMean ?? ''];
  const start = bias ? emitter.emit('Sub', [bias, shift]) : emitter.emit('Neg', [shift]);
  return { x: convolve(emitter, unit, start, '', {}), shift };
}

function unitGradient(context: GradientContext, unit: Unit, normed?: { x: string; statistics: Statistics }): InputGradient[] {
  const arriving = context.outputGradient(0);
  if (!arriving) return [];
  const { conv, norm, rectifier } = unit;
  const g = rectifier ? throughRectifier(context, arriving, context.output(0), rectifier) : arriving;
  const residual = unit.residual && context.wants(5) ? g : undefined;
  if (!norm || !normed) return [...convGradients(context, unit, g), undefined, undefined, residual];
  const isFixed = norm.fixedVariance !== undefined;
  const through = isFixed ? fixedNormGradients : normGradients;
  const gradients = through(context, normed.x, g, norm.scale, normed.statistics, conv !== undefined && foldPays(conv.sizes));
  const before = conv ? convGradients(context, unit, gradients.x, gradients.factor, !isFixed) : [gradients.x, undefined, undefined];
  return [...before, gradients.scale, gradients.bias, residual];
}

/** Scaling the weights once against scaling the activations once. */
const foldPays = (conv: BlockedConv): boolean =>
  channelsPerGroup(conv) * elementCount(conv.kernel) <= conv.batch * elementCount(conv.output);

/** g where 0 < y < max. HardSigmoid with a slope beyond every float is the cheapest step function. */
function throughRectifier(context: GradientContext, g: string, y: string, { max }: Rectifier): string {
  const step = (slope: number, at: number): string => context.emit('HardSigmoid', [y], { alpha: { float: slope }, beta: { float: at } });
  const below = context.emit('Mul', [g, step(1e30, 0)]);
  return max === Infinity ? below : context.emit('Mul', [below, step(-1e30, max * 1e30)]);
}

/** Gradients of a convolution's input, weight and bias; the true output gradient is `factor` (by filter) times g. */
function convGradients(context: GradientContext, unit: Unit, g: string, factor?: string, normed = false): InputGradient[] {
  if (!unit.conv) return [undefined, undefined, undefined];
  const { sizes, weight } = unit.conv;
  const dx = context.wants(0) ? inputGradient(context, sizes, g, weight, factor) : undefined;
  const dw = context.wants(1) ? weightGradient(context, unit.conv, unit.x, g, factor) : undefined;
  return [dx, dw, context.wants(2) ? biasGradient(context, g, sizes, normed, factor) : undefined];
}

/** Nothing flows into the zeros between merged groups. */
function weightGradient(context: GradientContext, { sizes, mask }: UnitConv, x: string, g: string, factor?: string): string {
  const dw = weightGradientForm(sizes, context.costs, context.node.name).emit(context, sizes, x, g);
  const own = mask ? context.emit('Mul', [dw, context.floats(context.shape(dw), mask)]) : dw;
  return scaledRows(context, own, sizes, factor);
}

function scaledRows(context: GradientContext, dw: string, { block: b, filters }: BlockedConv, factor?: string): string {
  if (!factor) return dw;
  const shape = context.shape(dw);
  const rows = reshape(context, dw, [filters / b, elementCount(shape) / filters, b]);
  return reshape(context, context.emit('Mul', [rows, reshape(context, factor, [filters / b, 1, b])]), shape);
}

/** Batch norm takes the bias away with the batch's mean, so that its gradient is zero before one (`normed`). */
function biasGradient(context: GradientContext, g: string, { filters, output }: BlockedConv, normed: boolean, factor?: string): string {
  if (normed) return context.zeros([filters]);
  const sums = context.emit('Mul', [channelSums(context, g), context.scalar(elementCount(output))]);
  return factor ? context.emit('Mul', [sums, factor]) : sums;
}

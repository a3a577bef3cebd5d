import { type Dim, isKnown } from '../graph/dims';
import { intOf, intsOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { CouplingContext, GradientContext, OpRecord, ShapeContext } from './opRecord';
import { inputType, windowAttributes } from './shapeHelpers';
import { convTransposeLowering } from './tfjs/convolution';

function transposeShape(context: ShapeContext) {
  const [x, w] = [context.shape(0), context.shape(1)];
  const type = inputType(context);
  const kernel = intsOf(context.node, 'kernel_shape') ?? w?.slice(2);
  if (!x || !w || !kernel?.every(isKnown)) return [{ type }];
  const stated = intsOf(context.node, 'output_shape');
  const { strides, dilations, pads, autoPad } = windowAttributes(context.node);
  const outputPadding = intsOf(context.node, 'output_padding') ?? [];
  const spatial = kernel.map((k, i): Dim => {
    if (stated) return stated[i + stated.length - kernel.length] ?? '?';
    const [size, stride] = [x[i + 2] as Dim, strides?.[i] ?? 1];
    if (!isKnown(size)) return '?';
    if (autoPad.startsWith('SAME')) return size * stride;
    return (
      (size - 1) * stride +
      (k - 1) * (dilations?.[i] ?? 1) +
      1 +
      (outputPadding[i] ?? 0) -
      (pads?.[i] ?? 0) -
      (pads?.[i + kernel.length] ?? 0)
    );
  });
  const perGroup = w[1] as Dim;
  const groups = intOf(context.node, 'group', 1);
  return [{ type, shape: [x[0] as Dim, isKnown(perGroup) ? perGroup * groups : '?', ...spatial] }];
}

/** Gradients with explicit padding; the input's is a plain convolution with the same weight. */
function transposeGradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const { strides, dilations, pads, autoPad } = windowAttributes(context.node);
  if (autoPad !== 'NOTSET' || context.node.attributes.has('output_shape'))
    context.fail('its padding must be explicit to be differentiated');
  const [, perGroup = 1, ...kernel] = context.shape(context.input(1));
  const rank = kernel.length;
  const groups = intOf(context.node, 'group', 1);
  const window = {
    strides: strides ?? kernel.map(() => 1),
    dilations: dilations ?? kernel.map(() => 1),
    pads: pads ?? Array<number>(2 * rank).fill(0),
  };
  const spatial = kernel.map((_, i) => i + 2);
  const x = context.input(0);
  const inputGradient = (): string => {
    const full = context.emit('Conv', [g, context.input(1)], { kernel_shape: kernel, ...window, group: groups });
    const size = context.shape(x).slice(2);
    return context
      .shape(full)
      .slice(2)
      .every((d, i) => d === size[i])
      ? full
      : cut(context, full, spatial, size);
  };
  const weightGradient = (): string => {
    const [batch = 1, , ...input] = context.shape(x);
    const output = context.shape(g).slice(2);
    const grouped = context.emit('Reshape', [g, context.ints([batch, groups, perGroup, elementCount(output)])]);
    const swapped = context.emit('Transpose', [grouped], { perm: [2, 1, 0, 3] });
    const image = context.emit('Reshape', [swapped, context.ints([perGroup, groups * batch, ...output])]);
    const filter = context.emit('Transpose', [x], { perm: [1, 0, ...spatial] });
    const full = context.emit('Conv', [image, filter], {
      kernel_shape: input,
      strides: window.dilations,
      dilations: window.strides,
      pads: window.pads,
      group: groups,
    });
    const exact = context
      .shape(full)
      .slice(2)
      .every((d, i) => d === kernel[i]);
    return context.emit('Transpose', [exact ? full : cut(context, full, spatial, kernel)], {
      perm: [1, 0, ...spatial.map((_, i) => i + 2)],
    });
  };
  return [
    context.wants(0) ? inputGradient() : undefined,
    context.wants(1) ? weightGradient() : undefined,
    context.wants(2) ? context.emit('ReduceSum', [g, context.ints([0, ...spatial])], { keepdims: 0 }) : undefined,
  ];
}

const cut = (context: GradientContext, value: string, axes: readonly number[], size: readonly number[]): string =>
  context.emit('Slice', [value, context.ints(axes.map(() => 0)), context.ints(size), context.ints(axes)]);

function transposeCoupling(context: CouplingContext): void {
  const groups = intOf(context.node, 'group', 1);
  const [channels = 0, perGroup = 0] = context.inputShape(1);
  context.tie(context.in(0, 0), context.out(0, 0));
  context.tie(context.in(0, 1), context.in(1, 0));
  if (context.input(2)) context.tie(context.in(2, 0), context.out(0, 1));
  if (groups === 1) return context.tie(context.in(1, 1), context.out(0, 1));
  context.tie(context.out(0, 1), context.in(1, 1), (channel) => channel % perGroup);
  context.tieWithin(context.in(0, 1), (channel) => channel % (channels / groups));
}

export const convTranspose: OpRecord = {
  op: 'ConvTranspose',
  domain: '',
  opsets: [1, 99],
  inputs: [2, 3],
  outputs: [1, 1],
  shape: transposeShape,
  gradient: transposeGradient,
  macs: (context) => elementCount(context.inputShape(0)) * elementCount(context.inputShape(1).slice(1)),
  coupling: transposeCoupling,
  tfjs: convTransposeLowering,
};

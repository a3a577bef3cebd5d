import { type Dim, type Shape, UNKNOWN, addDims, isKnown, sameDim } from '../graph/dims';
import { type Node, type ValueType, intsOf, stringOf } from '../graph/graph';
import { type CouplingContext, type CouplingRule, type ShapeContext, type ShapeRule, unsupported } from './opRecord';

export const NO_TFJS = unsupported('the tfjs runtime has no lowering for it; it runs on onnxruntime');
export const NOT_DIFFERENTIABLE = unsupported('its output does not change smoothly with its inputs');

export const normaliseAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Numpy's broadcasting. A symbol against 1 stays; two different symbols give the unknown dimension. */
export function broadcastShapes(a: Shape, b: Shape, fail: (reason: string) => never): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === 1) return y;
    if (y === 1 || sameDim(x, y)) return x;
    if (isKnown(x) && isKnown(y)) return fail(`shapes [${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
    return isKnown(x) ? x : isKnown(y) ? y : UNKNOWN;
  });
}

export const inputType = (context: ShapeContext, i = 0): ValueType['type'] => context.input(i)?.type ?? 'float32';

/** One output of the first input's type and shape. */
export const sameAsInput: ShapeRule = (context) => [{ type: inputType(context), shape: context.shape(0) }];

export const broadcastRule =
  (type?: ValueType['type']): ShapeRule =>
  (context) => {
    const shapes = context.node.inputs.map((_, i) => context.shape(i));
    const element = type ?? inputType(context);
    if (shapes.some((s) => s === undefined)) return [{ type: element }];
    return [{ type: element, shape: (shapes as Shape[]).reduce((a, b) => broadcastShapes(a, b, (reason) => context.fail(reason))) }];
  };

/** Ties every axis of input `i` to the same axis of output 0. */
export function tieAllAxes(context: CouplingContext, i = 0): void {
  context.inputShape(i).forEach((_, axis) => context.tie(context.in(i, axis), context.out(0, axis)));
}

export const elementwiseCoupling: CouplingRule = (context) => tieAllAxes(context);

/** Ties each input to the output along the axes that are not broadcast; a broadcast axis of size one constrains nothing. */
export const broadcastCoupling: CouplingRule = (context) => {
  const out = context.outputShape(0);
  context.node.inputs.forEach((name, i) => {
    if (name) tieBroadcast(context, i, out);
  });
};

export function tieBroadcast(context: CouplingContext, i: number, out: readonly number[]): void {
  const shape = context.inputShape(i);
  const offset = out.length - shape.length;
  shape.forEach((size, axis) => {
    if (size === out[axis + offset]) context.tie(context.in(i, axis), context.out(0, axis + offset));
    else context.free(context.in(i, axis));
  });
  out.forEach((_, axis) => context.free(context.out(0, axis)));
}

/** Sliding windows of convolutions and pools, per spatial axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begin of every axis, then end of every axis, as ONNX has it. */
  readonly pads: readonly number[];
}

export interface WindowAttributes {
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly autoPad: string;
}

/** Resolves auto_pad for a known input size; with a symbolic one SAME pads as for a multiple of the stride. */
export function resolveWindow(spatial: Shape, kernel: readonly number[], attributes: WindowAttributes): Window {
  const rank = kernel.length;
  const strides = attributes.strides ?? Array<number>(rank).fill(1);
  const dilations = attributes.dilations ?? Array<number>(rank).fill(1);
  const explicit = attributes.pads ?? Array<number>(2 * rank).fill(0);
  if (!attributes.autoPad.startsWith('SAME'))
    return { kernel, strides, dilations, pads: attributes.autoPad === 'VALID' ? explicit.map(() => 0) : explicit };
  const totals = kernel.map((k, i) => {
    const [stride, extent, size] = [strides[i] ?? 1, (k - 1) * (dilations[i] ?? 1) + 1, spatial[i]];
    if (typeof size !== 'number') return Math.max(extent - stride, 0);
    return Math.max((Math.ceil(size / stride) - 1) * stride + extent - size, 0);
  });
  const lower = attributes.autoPad === 'SAME_LOWER';
  const begin = totals.map((t) => (lower ? Math.ceil(t / 2) : Math.floor(t / 2)));
  return { kernel, strides, dilations, pads: [...begin, ...totals.map((t, i) => t - (begin[i] ?? 0))] };
}

/** Output size of a window along axis `i`. */
export function windowOutput(size: Dim, window: Window, i: number, ceil = false): Dim {
  const [stride, extent] = [window.strides[i] ?? 1, ((window.kernel[i] ?? 1) - 1) * (window.dilations[i] ?? 1) + 1];
  const [begin, end] = [window.pads[i] ?? 0, window.pads[i + window.kernel.length] ?? 0];
  if (!isKnown(size)) return stride === 1 ? addDims(size, begin + end - extent + 1) : UNKNOWN;
  const steps = (size + begin + end - extent) / stride;
  if (!ceil) return Math.floor(steps) + 1;
  const count = Math.ceil(steps) + 1;
  return (count - 1) * stride >= size + begin ? count - 1 : count;
}

export const windowAttributes = (node: Node): WindowAttributes => ({
  strides: intsOf(node, 'strides'),
  dilations: intsOf(node, 'dilations'),
  pads: intsOf(node, 'pads'),
  autoPad: stringOf(node, 'auto_pad', 'NOTSET'),
});

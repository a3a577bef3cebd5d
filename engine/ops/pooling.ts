import type { Dim } from '../graph/dims';
import { intOf, intsOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { CouplingContext, GradientContext, GradientRule, OpRecord, ShapeContext, TfjsLowering } from './opRecord';
import { unsupported } from './opRecord';
import { NO_TFJS, type Window, inputType, resolveWindow, windowAttributes, windowOutput } from './shapeHelpers';
import { averagePoolLowering, lpPoolLowering, maxPoolLowering } from './tfjs/pooling';
import { globalAverage, globalMaximum, globalNorm } from './tfjs/reduction';

function poolShape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  if (!x) return [{ type }];
  const kernel = intsOf(context.node, 'kernel_shape') ?? context.fail('kernel_shape is missing');
  if (x.length !== kernel.length + 2) context.fail(`kernel has ${kernel.length} axes but the input has rank ${x.length}`);
  const window = resolveWindow(x.slice(2), kernel, windowAttributes(context.node));
  const ceil = intOf(context.node, 'ceil_mode', 0) === 1;
  const shape = [x[0] as Dim, x[1] as Dim, ...kernel.map((_, i) => windowOutput(x[i + 2] as Dim, window, i, ceil))];
  return [
    { type, shape },
    { type: 'int64' as const, shape },
  ].slice(0, context.node.outputs.length);
}

function globalShape(context: ShapeContext) {
  const x = context.shape(0);
  return [{ type: inputType(context), shape: x?.map((d, i) => (i < 2 ? d : 1)) }];
}

function poolCoupling(context: CouplingContext): void {
  for (const axis of [0, 1]) context.tie(context.in(0, axis), context.out(0, axis));
}

const windowOf = (context: GradientContext): Window =>
  resolveWindow(context.shape(context.input(0)).slice(2), intsOf(context.node, 'kernel_shape') ?? [], windowAttributes(context.node));

/** Every output's gradient goes to the first largest input of its window, which a second pooling finds. */
const maxPoolGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const { kernel, strides, dilations, pads } = windowOf(context);
  const x = context.input(0);
  const attributes = { kernel_shape: kernel, strides, dilations, pads, ceil_mode: intOf(context.node, 'ceil_mode', 0) };
  const indices = context.emitAll('MaxPool', [x], attributes, 2)[1] as string;
  const shape = context.shape(x);
  const count = elementCount(context.shape(g));
  const zeros = context.emit('ConstantOfShape', [context.ints([elementCount(shape)])]);
  const flat = (value: string): string => context.emit('Reshape', [value, context.ints([count])]);
  const overlaps = kernel.some((k, i) => (k - 1) * (dilations[i] ?? 1) + 1 > (strides[i] ?? 1));
  const scattered = context.emit('ScatterElements', [zeros, flat(indices), flat(g)], {
    axis: 0,
    ...(overlaps ? { reduction: 'add' } : {}),
  });
  return [context.emit('Reshape', [scattered, context.ints(shape)])];
};

/** Each output's gradient is spread evenly over the inputs that were averaged. */
const averagePoolGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const window = windowOf(context);
  const { kernel, strides } = window;
  const rank = kernel.length;
  const [batch = 1, channels = 1, ...input] = context.shape(context.input(0));
  const output = context.shape(g).slice(2);
  const share = context.emit('Mul', [g, context.floats([1, 1, ...output], averagingWeights(context, window, input, output))]);
  const images = context.emit('Reshape', [share, context.ints([batch * channels, 1, ...output])]);
  const begin = window.pads.slice(0, rank);
  const full = output.map((o, i) => (o - 1) * (strides[i] ?? 1) + (window.dilations[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1);
  const spread = context.emit('ConvTranspose', [images, context.floats([1, 1, ...kernel], Array<number>(elementCount(kernel)).fill(1))], {
    kernel_shape: kernel,
    strides,
    dilations: window.dilations,
  });
  const wanted = input.map((size, i) => (begin[i] ?? 0) + size);
  const missing = wanted.map((w, i) => Math.max(0, w - (full[i] ?? 0)));
  const padded = missing.every((m) => m === 0)
    ? spread
    : context.emit('Pad', [spread, context.ints([...Array<number>(rank + 2).fill(0), 0, 0, ...missing])]);
  const axes = input.map((_, i) => i + 2);
  const cut = context.emit('Slice', [padded, context.ints(begin), context.ints(wanted), context.ints(axes)]);
  return [context.emit('Reshape', [cut, context.ints([batch, channels, ...input])])];
};

/** One over the number of inputs of every window. */
function averagingWeights(context: GradientContext, window: Window, input: readonly number[], output: readonly number[]): Float32Array {
  const includePad = intOf(context.node, 'count_include_pad', 0) === 1;
  const rank = input.length;
  const perAxis = input.map((size, axis) =>
    Array.from({ length: output[axis] ?? 0 }, (_, o) => {
      const [begin, end] = [window.pads[axis] ?? 0, window.pads[axis + rank] ?? 0];
      const start = o * (window.strides[axis] ?? 1) - begin;
      const inside = (at: number): boolean => (includePad ? at < size + end : at >= 0 && at < size);
      return Array.from({ length: window.kernel[axis] ?? 1 }, (_, k) => start + k * (window.dilations[axis] ?? 1)).filter(inside).length;
    }),
  );
  return Float32Array.from(
    perAxis.reduce<number[]>((all, counts) => all.flatMap((a) => counts.map((c) => a * c)), [1]),
    (n) => 1 / n,
  );
}

/** Expand of g / area. */
const globalAverageGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const shape = context.shape(context.input(0));
  const scaled = context.emit('Mul', [g, context.scalar(1 / elementCount(shape.slice(2)))]);
  return [context.emit('Expand', [scaled, context.ints(shape)])];
};

/** To every position that holds the maximum, in equal parts. */
const globalMaxGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const axes = context
    .shape(context.input(0))
    .slice(2)
    .map((_, i) => i + 2);
  const hit = context.emit('Cast', [context.emit('Equal', [context.input(0), context.output(0)])], { to: 1 });
  const ties = context.emit('ReduceSum', [hit, context.ints(axes)], { keepdims: 1 });
  return [context.emit('Mul', [hit, context.emit('Div', [g, ties])])];
};

const LOWERINGS: Readonly<Record<string, TfjsLowering>> = {
  MaxPool: maxPoolLowering,
  AveragePool: averagePoolLowering,
  LpPool: lpPoolLowering,
  GlobalAveragePool: globalAverage,
  GlobalMaxPool: globalMaximum,
  GlobalLpPool: globalNorm,
};

const pool = (op: string, gradient: OpRecord['gradient'], outputs: number): OpRecord => ({
  op,
  domain: '',
  opsets: [1, 99],
  inputs: [1, 1],
  outputs: [1, outputs],
  shape: poolShape,
  gradient,
  macs: 'none',
  coupling: poolCoupling,
  tfjs: LOWERINGS[op] ?? NO_TFJS,
});

const globalPool = (op: string, gradient: OpRecord['gradient']): OpRecord => ({ ...pool(op, gradient, 1), shape: globalShape });

const NO_LP = unsupported('the gradient of the p-norm pool is not offered');

export const poolingRecords: readonly OpRecord[] = [
  pool('MaxPool', maxPoolGradient, 2),
  pool('AveragePool', averagePoolGradient, 1),
  pool('LpPool', NO_LP, 1),
  globalPool('GlobalAveragePool', globalAverageGradient),
  globalPool('GlobalMaxPool', globalMaxGradient),
  globalPool('GlobalLpPool', NO_LP),
];

import { type Dim, isKnown, mulDims } from '../graph/dims';
import { type Node, intOf, intsOf } from '../graph/graph';
import { numbersOf } from '../graph/tensor';
import { Calculator } from './calculator';
import type { CouplingContext, GradientContext, GradientRule, OpRecord, ShapeContext } from './opRecord';
import { NO_TFJS, NOT_DIFFERENTIABLE, inputType, normaliseAxis } from './shapeHelpers';
import { reductionLowerings } from './tfjs/reduction';

/** Axes as attribute (ReduceSum before opset 13, the others before 18) or as input; undefined when they are not known. */
function axesOf(node: Node, rank: number, input: readonly number[] | undefined): readonly number[] | undefined {
  const stated = intsOf(node, 'axes') ?? (node.inputs[1] ? input : []);
  if (!stated) return undefined;
  if (stated.length > 0) return stated.map((a) => normaliseAxis(a, rank));
  return intOf(node, 'noop_with_empty_axes', 0) === 1 ? [] : Array.from({ length: rank }, (_, i) => i);
}

function reduceShape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  const known = context.known(1)?.elements;
  const axes = x && axesOf(context.node, x.length, known?.every(isKnown) ? known : undefined);
  if (!x || !axes) return [{ type }];
  const keep = intOf(context.node, 'keepdims', 1) === 1;
  if (context.node.op === 'ReduceProd') {
    const value = context.known(0);
    if (value) context.setKnown(0, { dims: keep ? [1] : [], elements: [mulDims(...value.elements)] });
  }
  return [{ type, shape: x.flatMap((d, i): Dim[] => (axes.includes(i) ? (keep ? [1] : []) : [d])) }];
}

function staticAxes(context: GradientContext | CouplingContext, rank: number): readonly number[] | undefined {
  const tensor = 'constantOf' in context ? context.constantOf(context.input(1)) : context.constant(1);
  return axesOf(context.node, rank, tensor && numbersOf(tensor));
}

interface Reduced {
  readonly c: Calculator;
  readonly g: string;
  readonly x: string;
  /** Output with the reduced axes kept as ones. */
  readonly y: string;
  readonly axes: readonly number[];
  readonly count: number;
  readonly context: GradientContext;
}

/** Rules see gradient and output with the reduced axes as ones, so that they broadcast against the input. */
function reduced(rule: (r: Reduced) => string): GradientRule {
  return (context) => {
    const arriving = context.outputGradient(0);
    if (!arriving) return [];
    const x = context.shape(context.input(0));
    const axes = staticAxes(context, x.length) ?? context.fail('its axes must be constant to be differentiated');
    const kept = context.ints(x.map((d, i) => (axes.includes(i) ? 1 : d)));
    const widen = (value: string): string => context.emit('Reshape', [value, kept]);
    const count = axes.reduce((n, a) => n * (x[a] ?? 1), 1);
    const result = rule({
      c: new Calculator(context),
      g: widen(arriving),
      x: context.input(0),
      y: widen(context.output(0)),
      axes,
      count,
      context,
    });
    const full = context.shape(result).every((d, i) => d === x[i]) && context.shape(result).length === x.length;
    return [full ? result : context.emit('Expand', [result, context.ints(x)])];
  };
}

const sumOver = ({ context, axes }: Reduced, value: string): string =>
  context.emit('ReduceSum', [value, context.ints(axes)], { keepdims: 1 });

/** In equal parts to all positions that hold the extreme, as torch.amax does. */
const toExtremes = (r: Reduced): string => {
  const hit = r.c.test('Equal', r.x, r.y);
  return r.c.mul(hit, r.c.div(r.g, sumOver(r, hit)));
};

/** Kept axes are tied; reduced ones are locked, because fewer summands would change the result's meaning. */
function reduceCoupling(context: CouplingContext): void {
  const shape = context.inputShape(0);
  const axes = staticAxes(context, shape.length);
  if (!axes) return;
  const keep = intOf(context.node, 'keepdims', 1) === 1;
  shape.forEach((_, i) => {
    if (axes.includes(i)) return context.lock(context.in(0, i), `${context.node.op} reduces over them`);
    context.tie(context.in(0, i), context.out(0, keep ? i : i - axes.filter((a) => a < i).length));
  });
}

function reduction(op: string, rule: (r: Reduced) => string): OpRecord {
  return {
    op,
    domain: '',
    opsets: [1, 99],
    inputs: [1, 2],
    outputs: [1, 1],
    shape: reduceShape,
    gradient: reduced(rule),
    macs: 'none',
    coupling: reduceCoupling,
    tfjs: reductionLowerings[op] ?? NO_TFJS,
  };
}

const reductions = [
  reduction('ReduceSum', ({ g }) => g),
  reduction('ReduceMean', ({ c, g, count }) => c.mul(g, 1 / count)),
  reduction('ReduceMax', toExtremes),
  reduction('ReduceMin', toExtremes),
  reduction('ReduceProd', ({ c, g, x, y }) => c.mul(g, c.div(y, x))),
  reduction('ReduceL1', ({ c, g, x }) => c.mul(g, c.call('Sign', x))),
  reduction('ReduceL2', ({ c, g, x, y }) => c.mul(x, c.div(g, y))),
  reduction('ReduceSumSquare', ({ c, g, x }) => c.mul(c.mul(x, 2), g)),
  reduction('ReduceLogSum', (r) => r.c.div(r.g, sumOver(r, r.x))),
  reduction('ReduceLogSumExp', ({ c, g, x, y }) => c.mul(g, c.call('Exp', c.sub(x, y)))),
];

function argShape(context: ShapeContext) {
  const x = context.shape(0);
  if (!x) return [{ type: 'int64' as const }];
  const axis = normaliseAxis(intOf(context.node, 'axis', 0), x.length);
  const keep = intOf(context.node, 'keepdims', 1) === 1;
  return [{ type: 'int64' as const, shape: x.flatMap((d, i): Dim[] => (i === axis ? (keep ? [1] : []) : [d])) }];
}

const arg = (op: string): OpRecord => ({
  ...reduction(op, ({ g }) => g),
  inputs: [1, 1],
  shape: argShape,
  gradient: NOT_DIFFERENTIABLE,
  coupling: argCoupling,
});

function argCoupling(context: CouplingContext): void {
  const shape = context.inputShape(0);
  const axis = normaliseAxis(intOf(context.node, 'axis', 0), shape.length);
  const keep = intOf(context.node, 'keepdims', 1) === 1;
  shape.forEach((_, i) => i !== axis && context.tie(context.in(0, i), context.out(0, keep || i < axis ? i : i - 1)));
}

/** y_i = x_1 + ... + x_i along an axis; the gradient sums from the other end. */
const cumSum: OpRecord = {
  ...reduction('CumSum', ({ g }) => g),
  inputs: [2, 2],
  shape: (context) => [{ type: inputType(context), shape: context.shape(0) }],
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const reverse = 1 - intOf(context.node, 'reverse', 0);
    return [context.emit('CumSum', [g, context.input(1)], { reverse, exclusive: intOf(context.node, 'exclusive', 0) })];
  },
  coupling(context) {
    const axis = context.constant(1);
    const shape = context.inputShape(0);
    const along = axis && normaliseAxis(numbersOf(axis)[0] ?? 0, shape.length);
    if (along !== undefined) shape.forEach((_, i) => i !== along && context.tie(context.in(0, i), context.out(0, i)));
  },
};

export const reductionRecords: readonly OpRecord[] = [...reductions, arg('ArgMax'), arg('ArgMin'), cumSum];

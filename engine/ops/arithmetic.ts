import { type Dim, addDims, divDims, isKnown, mulDims } from '../graph/dims';
import { Calculator } from './calculator';
import type { GradientContext, GradientRule, KnownValue, OpRecord, ShapeContext, ShapeRule } from './opRecord';
import { NO_TFJS, NOT_DIFFERENTIABLE, broadcastCoupling, broadcastRule, elementwiseCoupling, sameAsInput } from './shapeHelpers';
import { arithmeticLowerings } from './tfjs/arithmetic';

/** Folds shape arithmetic on two known integer values of equal size or with a scalar. */
function foldBinary(context: ShapeContext, combine: (a: Dim, b: Dim) => Dim): void {
  const [a, b] = [context.known(0), context.known(1)];
  if (!a || !b || context.input(0)?.type === 'float32') return;
  const count = Math.max(a.elements.length, b.elements.length);
  if (![a, b].every((v) => v.elements.length === count || v.elements.length === 1)) return;
  const at = (v: KnownValue, i: number): Dim => v.elements[v.elements.length === 1 ? 0 : i] as Dim;
  const dims = a.dims.length >= b.dims.length && a.elements.length === count ? a.dims : b.dims;
  context.setKnown(0, { dims, elements: Array.from({ length: count }, (_, i) => combine(at(a, i), at(b, i))) });
}

const binaryShape =
  (combine?: (a: Dim, b: Dim) => Dim): ShapeRule =>
  (context) => {
    if (combine) foldBinary(context, combine);
    return broadcastRule()(context);
  };

function binary(op: string, gradient: OpRecord['gradient'], combine?: (a: Dim, b: Dim) => Dim): OpRecord {
  return {
    op,
    domain: '',
    opsets: [7, 99],
    inputs: [2, 2],
    outputs: [1, 1],
    shape: binaryShape(combine),
    gradient,
    macs: 'none',
    coupling: broadcastCoupling,
    tfjs: arithmeticLowerings[op] ?? NO_TFJS,
  };
}

/** Rule from the gradients of both operands before broadcasting is undone. */
function pair(rule: (c: Calculator, g: string, context: GradientContext) => [() => string, () => string]): GradientRule {
  return (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    return rule(new Calculator(context), g, context).map((make, i) => (context.wants(i) ? context.unbroadcast(make(), i) : undefined));
  };
}

const numeric =
  (combine: (a: number, b: number) => number) =>
  (a: Dim, b: Dim): Dim =>
    isKnown(a) && isKnown(b) ? combine(a, b) : '?';

const subtract = (a: Dim, b: Dim): Dim => (isKnown(b) ? addDims(a, -b) : a === b && a !== '?' ? 0 : '?');
const quotient = (a: Dim, b: Dim): Dim => (isKnown(a) && isKnown(b) ? Math.trunc(a / b) : divDims(a, b));

const binaries = [
  binary(
    'Add',
    pair((_c, g) => [() => g, () => g]),
    addDims,
  ),
  binary(
    'Sub',
    pair((c, g) => [() => g, () => c.call('Neg', g)]),
    subtract,
  ),
  binary(
    'Mul',
    pair((c, g, { node }) => [() => c.mul(g, node.inputs[1] ?? ''), () => c.mul(g, node.inputs[0] ?? '')]),
    mulDims,
  ),
  binary(
    'Div',
    pair((c, g, context) => [() => c.div(g, context.input(1)), () => c.call('Neg', c.div(c.mul(g, context.output(0)), context.input(1)))]),
    quotient,
  ),
  binary('Pow', pair(powGradient)),
  binary(
    'Mod',
    NOT_DIFFERENTIABLE,
    numeric((a, b) => a - b * Math.floor(a / b)),
  ),
];

/** d(a^b) = b a^(b-1) da + a^b log(a) db; the second is zero where a is zero, as in PyTorch. */
function powGradient(c: Calculator, g: string, context: GradientContext): [() => string, () => string] {
  const [a, b, y] = [context.input(0), context.input(1), context.output(0)];
  const log = (): string => c.select(c.call('Greater', a, 0), c.call('Log', a), 0);
  return [() => c.mul(g, c.mul(b, c.call('Pow', a, c.sub(b, 1)))), () => c.mul(g, c.mul(y, log()))];
}

/** Min, Max, Sum and Mean take any number of operands. */
function variadic(op: string, gradient: GradientRule, combine?: (a: Dim, b: Dim) => Dim): OpRecord {
  return { ...binary(op, gradient, combine), inputs: [1, Infinity] };
}

const share =
  (weight: (count: number) => number): GradientRule =>
  (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    const factor = weight(context.node.inputs.length);
    const scaled = factor === 1 ? g : context.emit('Mul', [g, context.scalar(factor)]);
    return context.node.inputs.map((_, i) => (context.wants(i) ? context.unbroadcast(scaled, i) : undefined));
  };

/** The gradient goes to the operands that have the extreme value, in equal parts (PyTorch halves it between two). */
const extremeGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const c = new Calculator(context);
  const hits = context.node.inputs.map((name) => c.test('Equal', name, context.output(0)));
  const ties = hits.length === 1 ? hits[0] : hits.reduce((a, b) => c.add(a, b));
  return hits.map((hit, i) => (context.wants(i) ? context.unbroadcast(c.mul(g, c.div(hit, ties ?? hit)), i) : undefined));
};

const variadics = [
  variadic(
    'Sum',
    share(() => 1),
  ),
  variadic(
    'Mean',
    share((count) => 1 / count),
  ),
  variadic('Min', extremeGradient, numeric(Math.min)),
  variadic('Max', extremeGradient, numeric(Math.max)),
];

type Derivative = (c: Calculator, x: string, y: string) => string;

function unary(op: string, derivative: Derivative | 'zero', fold?: (a: Dim) => Dim): OpRecord {
  const gradient: GradientRule = (context) => {
    const g = context.outputGradient(0);
    if (!g || derivative === 'zero') return [];
    const c = new Calculator(context);
    return [c.mul(g, derivative(c, context.input(0), context.output(0)))];
  };
  const shape: ShapeRule = (context) => {
    const known = fold && context.input(0)?.type !== 'float32' ? context.known(0) : undefined;
    if (known && fold) context.setKnown(0, { dims: known.dims, elements: known.elements.map(fold) });
    return sameAsInput(context);
  };
  return {
    op,
    domain: '',
    opsets: [1, 99],
    inputs: [1, 1],
    outputs: [1, 1],
    shape,
    gradient,
    macs: 'none',
    coupling: elementwiseCoupling,
    tfjs: arithmeticLowerings[op] ?? NO_TFJS,
  };
}

const negate = (a: Dim): Dim => (isKnown(a) ? -a : '?');
const keep = (a: Dim): Dim => a;

const unaries = [
  unary('Neg', (c) => c.constant(-1), negate),
  unary('Abs', (c, x) => c.call('Sign', x)),
  unary('Exp', (_c, _x, y) => y),
  unary('Log', (c, x) => c.call('Reciprocal', x)),
  unary('Sqrt', (c, _x, y) => c.div(0.5, y)),
  unary('Reciprocal', (c, _x, y) => c.call('Neg', c.mul(y, y))),
  unary('Sin', (c, x) => c.call('Cos', x)),
  unary('Cos', (c, x) => c.call('Neg', c.call('Sin', x))),
  unary('Tan', (c, _x, y) => c.add(1, c.mul(y, y))),
  unary('Asin', (c, x) => c.call('Reciprocal', c.call('Sqrt', c.sub(1, c.mul(x, x))))),
  unary('Acos', (c, x) => c.call('Neg', c.call('Reciprocal', c.call('Sqrt', c.sub(1, c.mul(x, x)))))),
  unary('Atan', (c, x) => c.call('Reciprocal', c.add(1, c.mul(x, x)))),
  unary('Sinh', (c, x) => c.call('Cosh', x)),
  unary('Cosh', (c, x) => c.call('Sinh', x)),
  unary('Asinh', (c, x) => c.call('Reciprocal', c.call('Sqrt', c.add(1, c.mul(x, x))))),
  unary('Acosh', (c, x) => c.call('Reciprocal', c.call('Sqrt', c.sub(c.mul(x, x), 1)))),
  unary('Atanh', (c, x) => c.call('Reciprocal', c.sub(1, c.mul(x, x)))),
  unary('Sign', 'zero'),
  unary('Floor', 'zero', keep),
  unary('Ceil', 'zero', keep),
  unary('Round', 'zero', keep),
];

export const arithmeticRecords: readonly OpRecord[] = [...binaries, ...variadics, ...unaries];

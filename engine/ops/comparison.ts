import type { Dim } from '../graph/dims';
import { Calculator } from './calculator';
import type { GradientContext, KnownValue, OpRecord, ShapeContext, ShapeRule } from './opRecord';
import { NO_TFJS, NOT_DIFFERENTIABLE, broadcastCoupling, broadcastRule, broadcastShapes, elementwiseCoupling } from './shapeHelpers';
import { comparisonLowerings } from './tfjs/arithmetic';

const common = {
  domain: '',
  outputs: [1, 1],
  macs: 'none',
  coupling: broadcastCoupling,
  gradient: NOT_DIFFERENTIABLE,
} as const;

const TESTS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  Equal: (a, b) => a === b,
  Greater: (a, b) => a > b,
  GreaterOrEqual: (a, b) => a >= b,
  Less: (a, b) => a < b,
  LessOrEqual: (a, b) => a <= b,
  And: (a, b) => a !== 0 && b !== 0,
  Or: (a, b) => a !== 0 || b !== 0,
  Xor: (a, b) => (a !== 0) !== (b !== 0),
};

function comparison(op: string, test: (a: number, b: number) => boolean): OpRecord {
  const shape: ShapeRule = (context) => {
    const [a, b] = [context.known(0), context.known(1)];
    const count = Math.max(a?.elements.length ?? 0, b?.elements.length ?? 0);
    const values = a && b ? Array.from({ length: count }, (_, i) => [pick(a, i), pick(b, i)] as const) : [];
    if (a && b && values.every(([x, y]) => typeof x === 'number' && typeof y === 'number'))
      context.setKnown(0, {
        dims: a.dims.length >= b.dims.length ? a.dims : b.dims,
        elements: values.map(([x, y]) => Number(test(x as number, y as number))),
      });
    return broadcastRule('bool')(context);
  };
  return { ...common, op, tfjs: comparisonLowerings[op] ?? NO_TFJS, opsets: [7, 99], inputs: [2, 2], shape };
}

const pick = (value: KnownValue, i: number): Dim => value.elements[value.elements.length === 1 ? 0 : i] ?? '?';

function unaryTest(op: string, inputs: readonly [number, number] = [1, 1]): OpRecord {
  return {
    ...common,
    op,
    tfjs: comparisonLowerings[op] ?? NO_TFJS,
    opsets: [1, 99],
    inputs,
    shape: (context) => [{ type: 'bool', shape: context.shape(0) }],
    coupling: elementwiseCoupling,
  };
}

function whereShape(context: ShapeContext) {
  const shapes = [0, 1, 2].map((i) => context.shape(i));
  const [test, a, b] = [context.known(0), context.known(1), context.known(2)];
  if (test && a && b && test.elements.every((t) => typeof t === 'number')) {
    const count = Math.max(test.elements.length, a.elements.length, b.elements.length);
    context.setKnown(0, {
      dims: [test, a, b].reduce((x, y) => (y.dims.length > x.dims.length ? y : x)).dims,
      elements: Array.from({ length: count }, (_, i) => pick(pick(test, i) !== 0 ? a : b, i)),
    });
  }
  const type = context.input(1)?.type ?? 'float32';
  const [s0, s1, s2] = shapes;
  if (!s0 || !s1 || !s2) return [{ type }];
  return [{ type, shape: [s1, s2].reduce((x, y) => broadcastShapes(x, y, (reason) => context.fail(reason)), s0) }];
}

function whereGradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const c = new Calculator(context);
  return [
    undefined,
    context.wants(1) ? context.unbroadcast(c.select(context.input(0), g, 0), 1) : undefined,
    context.wants(2) ? context.unbroadcast(c.select(context.input(0), 0, g), 2) : undefined,
  ];
}

const where: OpRecord = {
  ...common,
  op: 'Where',
  tfjs: comparisonLowerings.Where ?? NO_TFJS,
  opsets: [9, 99],
  inputs: [3, 3],
  shape: whereShape,
  gradient: whereGradient,
};

export const comparisonRecords: readonly OpRecord[] = [
  ...Object.entries(TESTS).map(([op, test]) => comparison(op, test)),
  unaryTest('Not'),
  unaryTest('IsNaN'),
  unaryTest('IsInf'),
  where,
];

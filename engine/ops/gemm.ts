import { type Dim, isKnown } from '../graph/dims';
import { floatOf, intOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { CouplingContext, GradientContext, OpRecord, ShapeContext } from './opRecord';
import { broadcastShapes, inputType, tieBroadcast } from './shapeHelpers';
import { gemmLowering, matMulLowering } from './tfjs/matrices';

function gemmShape(context: ShapeContext) {
  const [a, b] = [context.shape(0), context.shape(1)];
  const type = inputType(context);
  if (!a || !b) return [{ type }];
  if (a.length !== 2 || b.length !== 2) context.fail(`takes two matrices but got [${a.join(', ')}] and [${b.join(', ')}]`);
  const [transA, transB] = [intOf(context.node, 'transA', 0), intOf(context.node, 'transB', 0)];
  const [inner, other] = [a[transA ? 0 : 1], b[transB ? 1 : 0]];
  if (isKnown(inner as Dim) && isKnown(other as Dim) && inner !== other)
    context.fail(`shapes [${a.join(', ')}] and [${b.join(', ')}] do not multiply`);
  return [{ type, shape: [a[transA ? 1 : 0] as Dim, b[transB ? 0 : 1] as Dim] }];
}

/** Y = alpha A B + beta C. */
function gemmGradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const [transA, transB] = [intOf(context.node, 'transA', 0), intOf(context.node, 'transB', 0)];
  const alpha = { float: floatOf(context.node, 'alpha', 1) };
  const beta = floatOf(context.node, 'beta', 1);
  const [a, b] = [context.input(0), context.input(1)];
  const product = (x: string, y: string, tx: number, ty: number): string => context.emit('Gemm', [x, y], { transA: tx, transB: ty, alpha });
  const gradientA = (): string => (transA ? product(b, g, transB, 1) : product(g, b, 0, 1 - transB));
  const gradientB = (): string => (transB ? product(g, a, 1, transA) : product(a, g, 1 - transA, 0));
  const gradientC = (): string => {
    const sum = context.unbroadcast(g, 2);
    return beta === 1 ? sum : context.emit('Mul', [sum, context.scalar(beta)]);
  };
  return [
    context.wants(0) ? gradientA() : undefined,
    context.wants(1) ? gradientB() : undefined,
    context.wants(2) ? gradientC() : undefined,
  ];
}

function gemmCoupling(context: CouplingContext): void {
  const [transA, transB] = [intOf(context.node, 'transA', 0), intOf(context.node, 'transB', 0)];
  context.tie(context.in(0, transA ? 1 : 0), context.out(0, 0));
  context.tie(context.in(0, transA ? 0 : 1), context.in(1, transB ? 1 : 0));
  context.tie(context.in(1, transB ? 0 : 1), context.out(0, 1));
  if (context.input(2)) tieBroadcast(context, 2, context.outputShape(0));
}

export const gemm: OpRecord = {
  op: 'Gemm',
  domain: '',
  opsets: [1, 99],
  inputs: [2, 3],
  outputs: [1, 1],
  shape: gemmShape,
  gradient: gemmGradient,
  macs: (context) => elementCount(context.outputShape(0)) * (context.inputShape(0)[intOf(context.node, 'transA', 0) ? 0 : 1] ?? 1),
  coupling: gemmCoupling,
  tfjs: gemmLowering,
};

const isTransposed = (node: { attributes: ReadonlyMap<string, unknown> } & Parameters<typeof intOf>[0], name: string): boolean =>
  intOf(node, name, 0) === 1;

const swapLast = <T>(shape: readonly T[], swap: boolean): T[] =>
  swap ? [...shape.slice(0, -2), ...shape.slice(-2).reverse()] : [...shape];

function matMulShape(context: ShapeContext) {
  const [rawA, rawB] = [context.shape(0), context.shape(1)];
  const type = inputType(context);
  if (!rawA || !rawB) return [{ type }];
  if (rawA.length === 0 || rawB.length === 0) context.fail('takes no scalars');
  const a = rawA.length === 1 ? [1, ...rawA] : swapLast(rawA, isTransposed(context.node, 'transA'));
  const b = rawB.length === 1 ? [...rawB, 1] : swapLast(rawB, isTransposed(context.node, 'transB'));
  const [inner, other] = [a.at(-1) as Dim, b.at(-2) as Dim];
  if (isKnown(inner) && isKnown(other) && inner !== other)
    context.fail(`shapes [${rawA.join(', ')}] and [${rawB.join(', ')}] do not multiply`);
  const batch = broadcastShapes(a.slice(0, -2), b.slice(0, -2), (reason) => context.fail(reason));
  return [{ type, shape: [...batch, ...(rawA.length === 1 ? [] : [a.at(-2) as Dim]), ...(rawB.length === 1 ? [] : [b.at(-1) as Dim])] }];
}

function matMulMacs(context: {
  inputShape(i: number): readonly number[];
  outputShape(i: number): readonly number[];
  node: Parameters<typeof intOf>[0];
}): number {
  const a = context.inputShape(0);
  return elementCount(context.outputShape(0)) * (swapLast(a, a.length > 1 && isTransposed(context.node, 'transA')).at(-1) ?? 1);
}

/** Y = alpha A B over broadcast batches; transposes and alpha are those of com.microsoft's FusedMatMul. */
function matMulGradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const [a, b] = [context.input(0), context.input(1)];
  if (context.shape(a).length < 2 || context.shape(b).length < 2) return vectorGradient(context, g);
  const [transA, transB] = [intOf(context.node, 'transA', 0), intOf(context.node, 'transB', 0)];
  const alpha = { float: floatOf(context.node, 'alpha', 1) };
  const product = (x: string, y: string, tx: number, ty: number): string =>
    context.emit('FusedMatMul', [x, y], { transA: tx, transB: ty, alpha }, { domain: 'com.microsoft' });
  const gradientA = (): string => (transA ? product(b, g, transB, 1) : product(g, b, 0, 1 - transB));
  const gradientB = (): string => (transB ? product(g, a, 1, transA) : weightGradient(context, product, a, g, transA));
  return [
    context.wants(0) ? context.unbroadcast(gradientA(), 0) : undefined,
    context.wants(1) ? context.unbroadcast(gradientB(), 1) : undefined,
  ];
}

/** A shared matrix under a batch: one product over all rows instead of one for each batch and a sum. */
function weightGradient(
  context: GradientContext,
  product: (x: string, y: string, tx: number, ty: number) => string,
  a: string,
  g: string,
  transA: number,
): string {
  const [shapeA, shapeG] = [context.shape(a), context.shape(g)];
  if (context.shape(context.input(1)).length !== 2 || shapeA.length === 2 || transA) return product(a, g, 1 - transA, 0);
  const rows = (value: string, shape: readonly number[]): string => context.emit('Reshape', [value, context.ints([-1, shape.at(-1) ?? 1])]);
  return product(rows(a, shapeA), rows(g, shapeG), 1, 0);
}

/** One operand is a vector: both become matrices, and the gradients their old shapes. */
function vectorGradient(context: GradientContext, g: string): (string | undefined)[] {
  const [shapeA, shapeB] = [context.shape(context.input(0)), context.shape(context.input(1))];
  const matrixA = shapeA.length === 1 ? context.emit('Reshape', [context.input(0), context.ints([1, ...shapeA])]) : context.input(0);
  const matrixB = shapeB.length === 1 ? context.emit('Reshape', [context.input(1), context.ints([...shapeB, 1])]) : context.input(1);
  const lead = (shapeA.length > 1 ? shapeA : shapeB).slice(0, -2);
  const matrixG = context.emit('Reshape', [
    g,
    context.ints([...lead, context.shape(matrixA).at(-2) ?? 1, context.shape(matrixB).at(-1) ?? 1]),
  ]);
  const product = (x: string, y: string, tx: number, ty: number): string =>
    context.emit('FusedMatMul', [x, y], { transA: tx, transB: ty }, { domain: 'com.microsoft' });
  const fit = (value: string, shape: readonly number[]): string => {
    const extra = context.shape(value).length - Math.max(2, shape.length);
    const summed =
      extra > 0 ? context.emit('ReduceSum', [value, context.ints(Array.from({ length: extra }, (_, i) => i))], { keepdims: 0 }) : value;
    return context.emit('Reshape', [summed, context.ints(shape)]);
  };
  return [
    context.wants(0) ? fit(product(matrixG, matrixB, 0, 1), shapeA) : undefined,
    context.wants(1) ? fit(product(matrixA, matrixG, 1, 0), shapeB) : undefined,
  ];
}

function matMulCoupling(context: CouplingContext): void {
  const [a, b, y] = [context.inputShape(0), context.inputShape(1), context.outputShape(0)];
  if (a.length < 2 || b.length < 2) return;
  const [transA, transB] = [isTransposed(context.node, 'transA'), isTransposed(context.node, 'transB')];
  const axis = (shape: readonly number[], fromEnd: number, swap: boolean): number => shape.length - (swap ? 3 - fromEnd : fromEnd);
  context.tie(context.in(0, axis(a, 1, transA)), context.in(1, axis(b, 2, transB)));
  context.tie(context.in(0, axis(a, 2, transA)), context.out(0, y.length - 2));
  context.tie(context.in(1, axis(b, 1, transB)), context.out(0, y.length - 1));
  for (const [i, shape] of [a, b].entries())
    shape.slice(0, -2).forEach((size, at) => {
      const outAxis = at + y.length - shape.length;
      if (size === y[outAxis]) context.tie(context.in(i, at), context.out(0, outAxis));
      else context.free(context.in(i, at));
    });
}

export const matMul: OpRecord = {
  op: 'MatMul',
  domain: '',
  opsets: [1, 99],
  inputs: [2, 2],
  outputs: [1, 1],
  shape: matMulShape,
  gradient: matMulGradient,
  macs: matMulMacs,
  coupling: matMulCoupling,
  tfjs: matMulLowering,
};

/** MatMul with alpha and transposes of the last two axes (onnxruntime's contrib operators). */
export const fusedMatMul: OpRecord = { ...matMul, op: 'FusedMatMul', domain: 'com.microsoft' };

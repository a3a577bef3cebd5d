import { intOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { broadcasting, elementwise } from './layout';

type Binary = (a: TfjsTensor, b: TfjsTensor, context: LoweringContext) => TfjsTensor;

/** Applied from left to right over all operands. */
const fold = (apply: Binary): TfjsLowering => broadcasting((operands, context) => operands.reduce((a, b) => apply(a, b, context)));

/** Quotient of integers rounded towards zero, as ONNX (and C) have it; tfjs rounds down. */
function truncatedQuotient(tf: TfjsModule, a: TfjsTensor, b: TfjsTensor): TfjsTensor {
  const down = tf.floorDiv(a, b);
  const inexact = tf.notEqual(tf.mul(down, b), a);
  const negative = tf.notEqual(tf.less(a, tf.zerosLike(a)), tf.less(b, tf.zerosLike(b)));
  return tf.add(down, tf.cast(tf.logicalAnd(inexact, negative), 'int32'));
}

/** The remainder has the divisor's sign, or with fmod=1 the dividend's. */
function remainder({ tf, node }: LoweringContext, a: TfjsTensor, b: TfjsTensor): TfjsTensor {
  return intOf(node, 'fmod', 0) === 1 ? tf.mul(tf.sign(a), tf.mod(tf.abs(a), tf.abs(b))) : tf.mod(a, b);
}

export const arithmeticLowerings: Readonly<Record<string, TfjsLowering>> = {
  Add: fold((a, b, { tf }) => tf.add(a, b)),
  Sub: fold((a, b, { tf }) => tf.sub(a, b)),
  Mul: fold((a, b, { tf }) => tf.mul(a, b)),
  Div: fold((a, b, { tf }) => (a.dtype === 'int32' ? truncatedQuotient(tf, a, b) : tf.div(a, b))),
  Pow: fold((a, b, { tf }) => tf.pow(a, b)),
  Mod: fold((a, b, context) => remainder(context, a, b)),
  Sum: fold((a, b, { tf }) => tf.add(a, b)),
  Mean: broadcasting((operands, { tf }) =>
    tf.div(
      operands.reduce((a, b) => tf.add(a, b)),
      operands.length,
    ),
  ),
  Min: fold((a, b, { tf }) => tf.minimum(a, b)),
  Max: fold((a, b, { tf }) => tf.maximum(a, b)),
  Neg: elementwise((x, { tf }) => tf.neg(x)),
  Abs: elementwise((x, { tf }) => tf.abs(x)),
  Exp: elementwise((x, { tf }) => tf.exp(x)),
  Log: elementwise((x, { tf }) => tf.log(x)),
  Sqrt: elementwise((x, { tf }) => tf.sqrt(x)),
  Reciprocal: elementwise((x, { tf }) => tf.reciprocal(x)),
  Sin: elementwise((x, { tf }) => tf.sin(x)),
  Cos: elementwise((x, { tf }) => tf.cos(x)),
  Tan: elementwise((x, { tf }) => tf.tan(x)),
  Asin: elementwise((x, { tf }) => tf.asin(x)),
  Acos: elementwise((x, { tf }) => tf.acos(x)),
  Atan: elementwise((x, { tf }) => tf.atan(x)),
  Sinh: elementwise((x, { tf }) => tf.sinh(x)),
  Cosh: elementwise((x, { tf }) => tf.cosh(x)),
  Asinh: elementwise((x, { tf }) => tf.asinh(x)),
  Acosh: elementwise((x, { tf }) => tf.acosh(x)),
  Atanh: elementwise((x, { tf }) => tf.atanh(x)),
  Sign: elementwise((x, { tf }) => tf.sign(x)),
  Floor: elementwise((x, { tf }) => tf.floor(x)),
  Ceil: elementwise((x, { tf }) => tf.ceil(x)),
  Round: elementwise((x, { tf }) => tf.round(x)),
};

const bool = (tf: TfjsModule, x: TfjsTensor): TfjsTensor => tf.cast(x, 'bool');
/** tfjs compares numbers. */
const number = (tf: TfjsModule, x: TfjsTensor): TfjsTensor => (x.dtype === 'bool' ? tf.cast(x, 'int32') : x);

function infinite({ tf, node }: LoweringContext, x: TfjsTensor): TfjsTensor {
  const signs = [intOf(node, 'detect_negative', 1) ? -Infinity : NaN, intOf(node, 'detect_positive', 1) ? Infinity : NaN];
  const [negative, positive] = signs.map((value) => tf.equal(x, tf.scalar(value))) as [TfjsTensor, TfjsTensor];
  return tf.logicalOr(negative, positive);
}

export const comparisonLowerings: Readonly<Record<string, TfjsLowering>> = {
  Equal: fold((a, b, { tf }) => tf.equal(number(tf, a), number(tf, b))),
  Greater: fold((a, b, { tf }) => tf.greater(a, b)),
  GreaterOrEqual: fold((a, b, { tf }) => tf.greaterEqual(a, b)),
  Less: fold((a, b, { tf }) => tf.less(a, b)),
  LessOrEqual: fold((a, b, { tf }) => tf.lessEqual(a, b)),
  And: fold((a, b, { tf }) => tf.logicalAnd(bool(tf, a), bool(tf, b))),
  Or: fold((a, b, { tf }) => tf.logicalOr(bool(tf, a), bool(tf, b))),
  Xor: fold((a, b, { tf }) => tf.logicalXor(bool(tf, a), bool(tf, b))),
  Not: elementwise((x, { tf }) => tf.logicalNot(bool(tf, x))),
  IsNaN: elementwise((x, { tf }) => tf.isNaN(x)),
  IsInf: elementwise((x, context) => infinite(context, x)),
  Where: broadcasting(([test, a, b], { tf }) => tf.where(bool(tf, test as TfjsTensor), a as TfjsTensor, b as TfjsTensor)),
};

import { floatOf, intOf, stringOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { broadcasting, elementwise, prefersChannelsLast, range } from './layout';

const sigmoidOf = (tf: TfjsModule, x: TfjsTensor): TfjsTensor => tf.sigmoid(x);
/** relu(x) + scale (exp(min(x, 0) / width) - 1). */
const exponentialBelow = (tf: TfjsModule, x: TfjsTensor, scale: number, width = 1): TfjsTensor =>
  tf.add(tf.relu(x), tf.mul(tf.expm1(tf.div(tf.minimum(x, tf.scalar(0)), width)), scale));

function gelu(tf: TfjsModule, x: TfjsTensor, approximate: string): TfjsTensor {
  if (approximate !== 'tanh') return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const inner = tf.mul(tf.mul(x, Math.sqrt(2 / Math.PI)), tf.add(tf.mul(tf.square(x), 0.044715), 1));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

function shrink({ tf, node }: LoweringContext, x: TfjsTensor): TfjsTensor {
  const [lambda, bias] = [floatOf(node, 'lambd', 0.5), floatOf(node, 'bias', 0)];
  const above = tf.where(tf.greater(x, lambda), tf.sub(x, bias), tf.zerosLike(tf.cast(x, 'float32')));
  return tf.where(tf.less(x, -lambda), tf.add(x, bias), above);
}

/** Bounds are inputs since opset 11, attributes before; where they cross, the upper one holds. */
const clip = elementwise((x, context) => {
  const { tf, node } = context;
  const bound = (i: number, name: string): TfjsTensor | undefined =>
    node.attributes.has(name) ? tf.scalar(floatOf(node, name, 0)) : context.has(i) ? context.input(i) : undefined;
  const [low, high] = [bound(1, 'min'), bound(2, 'max')];
  const raised = low ? tf.maximum(x, low) : x;
  return high ? tf.minimum(raised, high) : tf.clone(raised);
});

/** Before opset 13 over all axes from `axis` (default 1), since then over one (default -1). */
function softmaxAxes({ node, opset, ...context }: LoweringContext): number[] {
  const rank = context.shape(0).length;
  const stated = intOf(node, 'axis', opset < 13 ? 1 : -1);
  const axis = stated < 0 ? stated + rank : stated;
  return opset < 13 ? range(axis, rank) : [axis];
}

function logSoftmax(context: LoweringContext): TfjsTensor {
  const { tf } = context;
  const [x, axes] = [context.input(0), softmaxAxes(context)];
  const shifted = tf.sub(x, tf.max(x, axes, true));
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), axes, true)));
}

function softmax(context: LoweringContext): TfjsTensor {
  const { tf } = context;
  const [x, axes] = [context.input(0), softmaxAxes(context)];
  const powers = tf.exp(tf.sub(x, tf.max(x, axes, true)));
  return tf.div(powers, tf.sum(powers, axes, true));
}

/** 1 at the first largest position, 0 elsewhere. */
function hardmax(context: LoweringContext): TfjsTensor {
  const { tf } = context;
  const [x, axes] = [context.input(0), softmaxAxes(context)];
  const before = x.shape.slice(0, axes[0]);
  const after = axes.length === 1 ? x.shape.slice((axes[0] ?? 0) + 1) : [];
  const size = axes.reduce((n, a) => n * (x.shape[a] ?? 1), 1);
  const flat = tf.reshape(x, [...before, size, ...after]);
  const first = tf.expandDims(tf.argMax(flat, before.length), before.length);
  const positions = tf.reshape(tf.range(0, size, 1, 'int32'), [size, ...after.map(() => 1)]);
  return tf.reshape(tf.cast(tf.equal(first, positions), 'float32'), x.shape);
}

/** The identity, as in inference; the mask keeps all. */
const dropout: TfjsLowering = (context) => {
  const { tf, node } = context;
  const drops = context.has(2) && context.numbers(2)[0] !== 0 && (!context.has(1) || context.numbers(1)[0] !== 0);
  if (drops) context.fail('it draws random numbers; training graphs take its mask as an input instead');
  const y = prefersChannelsLast(context, [0]) ? { channelsLast: context.channelsLast(0) } : context.input(0);
  return node.outputs.length > 1 ? [y, tf.ones(context.shape(0) as number[], 'bool')] : [y];
};

export const activationLowerings: Readonly<Record<string, TfjsLowering>> = {
  Relu: elementwise((x, { tf }) => tf.relu(x)),
  LeakyRelu: elementwise((x, { tf, node }) => tf.leakyRelu(x, floatOf(node, 'alpha', 0.01))),
  Elu: elementwise((x, { tf, node }) => exponentialBelow(tf, x, floatOf(node, 'alpha', 1))),
  Selu: elementwise((x, { tf, node }) =>
    tf.mul(exponentialBelow(tf, x, floatOf(node, 'alpha', 1.67326319217681884765625)), floatOf(node, 'gamma', 1.05070102214813232421875)),
  ),
  Celu: elementwise((x, { tf, node }) => exponentialBelow(tf, x, floatOf(node, 'alpha', 1), floatOf(node, 'alpha', 1))),
  ThresholdedRelu: elementwise((x, { tf, node }) => tf.where(tf.greater(x, floatOf(node, 'alpha', 1)), x, tf.zerosLike(x))),
  Sigmoid: elementwise((x, { tf }) => sigmoidOf(tf, x)),
  Tanh: elementwise((x, { tf }) => tf.tanh(x)),
  Softplus: elementwise((x, { tf }) => tf.add(tf.relu(x), tf.log1p(tf.exp(tf.neg(tf.abs(x)))))),
  Softsign: elementwise((x, { tf }) => tf.div(x, tf.add(tf.abs(x), 1))),
  HardSigmoid: elementwise((x, { tf, node }) =>
    tf.clipByValue(tf.add(tf.mul(x, floatOf(node, 'alpha', 0.2)), floatOf(node, 'beta', 0.5)), 0, 1),
  ),
  HardSwish: elementwise((x, { tf }) => tf.mul(x, tf.clipByValue(tf.add(tf.div(x, 6), 0.5), 0, 1))),
  Mish: elementwise((x, { tf }) => tf.mul(x, tf.tanh(tf.softplus(x)))),
  Gelu: elementwise((x, { tf, node }) => gelu(tf, x, stringOf(node, 'approximate', 'none'))),
  Swish: elementwise((x, { tf, node }) => tf.mul(x, sigmoidOf(tf, tf.mul(x, floatOf(node, 'alpha', 1))))),
  Erf: elementwise((x, { tf }) => tf.erf(x)),
  Shrink: elementwise((x, context) => shrink(context, x)),
  Clip: clip,
  PRelu: broadcasting(([x, slope], { tf }) => {
    const [value, factor] = [x as TfjsTensor, slope as TfjsTensor];
    return tf.add(tf.relu(value), tf.mul(factor, tf.minimum(value, tf.zerosLike(value))));
  }),
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  Hardmax: hardmax,
  Dropout: dropout,
};

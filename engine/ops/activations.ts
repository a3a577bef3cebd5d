import { type AttributeValue, floatOf } from '../graph/graph';
import { Calculator } from './calculator';
import type { CouplingContext, GradientContext, GradientRule, OpRecord, ShapeRule } from './opRecord';
import { NO_TFJS, NOT_DIFFERENTIABLE, elementwiseCoupling, normaliseAxis, sameAsInput, tieBroadcast } from './shapeHelpers';
import { activationLowerings } from './tfjs/activations';

/** Makes a gradient rule from the derivative at x (value y), times the arriving gradient. */
function derivative(rule: (c: Calculator, x: string, y: string, context: GradientContext) => string): GradientRule {
  return (context) => {
    const g = context.outputGradient(0);
    if (!g) return [];
    const c = new Calculator(context);
    return [c.mul(g, rule(c, context.input(0), context.output(0), context))];
  };
}

/** 1 where y > 0, as one cheap operator: HardSigmoid with a slope beyond every float (reference/ort-formulations). */
const stepOf = (context: GradientContext, y: string): string =>
  context.emit('HardSigmoid', [y], { alpha: { float: 1e30 }, beta: { float: 0 } });

const activation = (op: string, gradient: OpRecord['gradient'], since = 1): OpRecord => ({
  op,
  domain: '',
  opsets: [since, 99],
  inputs: [1, 1],
  outputs: [1, 1],
  shape: sameAsInput,
  gradient,
  macs: 'none',
  coupling: elementwiseCoupling,
  tfjs: activationLowerings[op] ?? NO_TFJS,
});

const attribute = (context: GradientContext, name: string, fallback: number): number => floatOf(context.node, name, fallback);

const relu = activation(
  'Relu',
  derivative((_c, _x, y, context) => stepOf(context, y)),
);

const leakyRelu = activation(
  'LeakyRelu',
  derivative((c, x, _y, context) => {
    const alpha = attribute(context, 'alpha', 0.01);
    return c.add(c.mul(stepOf(context, x), 1 - alpha), alpha);
  }),
);

/** elu: y > 0 ? 1 : y + alpha. */
const elu = activation(
  'Elu',
  derivative((c, x, y, context) => c.select(c.call('Greater', x, 0), 1, c.add(y, attribute(context, 'alpha', 1)))),
);

const selu = activation(
  'Selu',
  derivative((c, x, y, context) => {
    const [alpha, gamma] = [attribute(context, 'alpha', 1.67326319217681884765625), attribute(context, 'gamma', 1.05070102214813232421875)];
    return c.select(c.call('Greater', x, 0), gamma, c.add(y, alpha * gamma));
  }),
);

/** celu: max(0, x) + min(0, alpha (exp(x / alpha) - 1)). */
const celu = activation(
  'Celu',
  derivative((c, x, y, context) => {
    const alpha = attribute(context, 'alpha', 1);
    return c.select(c.call('Greater', x, 0), 1, c.add(c.mul(y, 1 / alpha), 1));
  }),
  12,
);

const thresholdedRelu = activation(
  'ThresholdedRelu',
  derivative((c, x, _y, context) => c.test('Greater', x, attribute(context, 'alpha', 1))),
);

const sigmoid = activation(
  'Sigmoid',
  derivative((c, _x, y) => c.mul(y, c.sub(1, y))),
);
const tanh = activation(
  'Tanh',
  derivative((c, _x, y) => c.sub(1, c.mul(y, y))),
);
const softplus = activation(
  'Softplus',
  derivative((c, x) => c.call('Sigmoid', x)),
);

const softsign = activation(
  'Softsign',
  derivative((c, x) => {
    const below = c.add(1, c.call('Abs', x));
    return c.call('Reciprocal', c.mul(below, below));
  }),
);

const hardSigmoid = activation(
  'HardSigmoid',
  derivative((c, _x, y, context) => c.mul(c.mul(c.test('Greater', y, 0), c.test('Less', y, 1)), attribute(context, 'alpha', 0.2))),
);

/** x clip(x/6 + 1/2, 0, 1): (2x + 3) / 6 between -3 and 3. */
const hardSwish = activation(
  'HardSwish',
  derivative((c, x) => c.select(c.call('Greater', x, -3), c.select(c.call('Less', x, 3), c.add(c.mul(x, 1 / 3), 0.5), 1), 0)),
  14,
);

/** x tanh(softplus(x)). */
const mish = activation(
  'Mish',
  derivative((c, x) => {
    const t = c.call('Tanh', c.call('Softplus', x));
    return c.add(t, c.mul(c.mul(x, c.call('Sigmoid', x)), c.sub(1, c.mul(t, t))));
  }),
  18,
);

/** Exact: Phi(x) + x phi(x). Tanh form: by its own derivative. */
const gelu = activation(
  'Gelu',
  derivative((c, x, _y, context) => {
    const approximate = context.node.attributes.get('approximate');
    if (approximate?.kind === 'string' && approximate.value === 'tanh') return geluTanhDerivative(c, x);
    const cdf = c.mul(c.add(c.call('Erf', c.mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = c.mul(c.call('Exp', c.mul(c.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return c.add(cdf, c.mul(x, density));
  }),
  20,
);

function geluTanhDerivative(c: Calculator, x: string): string {
  const scale = Math.sqrt(2 / Math.PI);
  const square = c.mul(x, x);
  const t = c.call('Tanh', c.mul(c.mul(x, scale), c.add(c.mul(square, 0.044715), 1)));
  const inner = c.mul(c.add(c.mul(square, 3 * 0.044715), 1), scale);
  return c.add(c.mul(c.add(t, 1), 0.5), c.mul(c.mul(c.mul(x, 0.5), c.sub(1, c.mul(t, t))), inner));
}

/** x sigmoid(alpha x). */
const swish = activation(
  'Swish',
  derivative((c, x, y, context) => {
    const alpha = attribute(context, 'alpha', 1);
    const s = c.call('Sigmoid', c.mul(x, alpha));
    return c.add(s, c.mul(c.mul(y, c.sub(1, s)), alpha));
  }),
  24,
);

const erf = activation(
  'Erf',
  derivative((c, x) => c.mul(c.call('Exp', c.call('Neg', c.mul(x, x))), 2 / Math.sqrt(Math.PI))),
  9,
);

/** x < -lambd ? x + bias : x > lambd ? x - bias : 0. */
const shrink = activation(
  'Shrink',
  derivative((c, x, _y, context) => c.test('Greater', c.call('Abs', x), attribute(context, 'lambd', 0.5))),
  9,
);

/** Bounds are inputs since opset 11; the gradient passes where they do not bind. */
const clip: OpRecord = {
  ...activation(
    'Clip',
    derivative((c, x, _y, context) => {
      const bounds = [context.input(1), context.input(2)];
      const inside = bounds.flatMap((bound, i) => (bound ? [c.test(i === 0 ? 'GreaterOrEqual' : 'LessOrEqual', x, bound)] : []));
      return inside.length === 0 ? context.floats([], [1]) : inside.reduce((a, b) => c.mul(a, b));
    }),
  ),
  inputs: [1, 3],
};

function preluGradient(context: GradientContext): (string | undefined)[] {
  const g = context.outputGradient(0);
  if (!g) return [];
  const c = new Calculator(context);
  const x = context.input(0);
  const negative = c.test('Less', x, 0);
  const slope = (): string => c.add(c.mul(negative, c.sub(context.input(1), 1)), 1);
  return [
    context.wants(0) ? c.mul(g, slope()) : undefined,
    context.wants(1) ? context.unbroadcast(c.mul(c.mul(g, x), negative), 1) : undefined,
  ];
}

const prelu: OpRecord = {
  ...activation('PRelu', preluGradient),
  inputs: [2, 2],
  coupling(context: CouplingContext) {
    elementwiseCoupling(context);
    tieBroadcast(context, 1, context.outputShape(0));
  },
};

/** Before opset 13 the softmax family worked on the input flattened at `axis` (default 1), since then along one axis (default -1). */
const softmaxAxis = (attributes: ReadonlyMap<string, AttributeValue>, opset: number, rank: number): number => {
  const axis = attributes.get('axis');
  return normaliseAxis(axis?.kind === 'int' ? axis.value : opset < 13 ? 1 : -1, rank);
};

const softmaxGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const c = new Calculator(context);
  const y = context.output(0);
  const axis = softmaxAxis(context.node.attributes, 13, context.shape(y).length);
  const inner = context.emit('ReduceSum', [c.mul(g, y), context.ints([axis])], { keepdims: 1 });
  return [c.mul(y, c.sub(g, inner))];
};

const logSoftmaxGradient: GradientRule = (context) => {
  const g = context.outputGradient(0);
  if (!g) return [];
  const c = new Calculator(context);
  const y = context.output(0);
  const axis = softmaxAxis(context.node.attributes, 13, context.shape(y).length);
  const total = context.emit('ReduceSum', [g, context.ints([axis])], { keepdims: 1 });
  return [c.sub(g, c.mul(c.call('Exp', y), total))];
};

/** Values along the normalised axes depend on each other, so those axes stay whole. */
function softmaxCoupling(context: CouplingContext): void {
  const shape = context.inputShape(0);
  const axis = softmaxAxis(context.node.attributes, context.opset, shape.length);
  shape.forEach((_, i) => {
    const normalised = context.opset < 13 ? i >= axis : i === axis;
    if (normalised) context.lock(context.in(0, i), `${context.node.op} normalises over them`);
    context.tie(context.in(0, i), context.out(0, i));
  });
}

const softmaxLike = (op: string, gradient: OpRecord['gradient']): OpRecord => ({ ...activation(op, gradient), coupling: softmaxCoupling });

const dropoutShape: ShapeRule = (context) => {
  const [shape] = sameAsInput(context);
  const mask = context.opset >= 10 ? { type: 'bool' as const, shape: context.shape(0) } : shape;
  return [shape, mask].slice(0, context.node.outputs.length).filter((t) => t !== undefined);
};

/** In inference it is the identity; training graphs replace it by a product with a mask. */
const dropout: OpRecord = {
  ...activation('Dropout', (context) => [context.outputGradient(0)]),
  inputs: [1, 3],
  outputs: [1, 2],
  shape: dropoutShape,
};

export const activationRecords: readonly OpRecord[] = [
  relu,
  leakyRelu,
  elu,
  selu,
  celu,
  thresholdedRelu,
  sigmoid,
  tanh,
  softplus,
  softsign,
  hardSigmoid,
  hardSwish,
  mish,
  gelu,
  swish,
  erf,
  shrink,
  clip,
  prelu,
  softmaxLike('Softmax', softmaxGradient),
  softmaxLike('LogSoftmax', logSoftmaxGradient),
  softmaxLike('Hardmax', NOT_DIFFERENTIABLE),
  dropout,
];

import { type Node, floatOf, intOf, stringOf } from '../../graph/graph';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { range } from './layout';

type Activation = (x: TfjsTensor) => TfjsTensor;

/** Weights of one direction; vectors that are not given are undefined. */
interface Cell {
  readonly tf: TfjsModule;
  /** Input, already multiplied with its weights and biased by the first half of B: [T, N, G H]. */
  readonly input: TfjsTensor;
  /** R [G H, H] and its bias [G H]. */
  readonly weight: TfjsTensor;
  readonly bias: TfjsTensor | undefined;
  /** [3 H]: input, output, forget. */
  readonly peepholes: TfjsTensor | undefined;
  readonly activations: readonly Activation[];
  readonly node: Node;
}

interface State {
  readonly h: TfjsTensor;
  readonly c?: TfjsTensor;
}

type Step = (cell: Cell, t: number, state: State) => State;

/** Parameters are given in the order of the activations that take them. */
function activationsOf(tf: TfjsModule, node: Node, names: readonly string[], context: LoweringContext): Activation[] {
  const floats = (name: string): number[] => {
    const attribute = node.attributes.get(name);
    return attribute?.kind === 'floats' ? [...attribute.value] : [];
  };
  const [alphas, betas] = [floats('activation_alpha'), floats('activation_beta')];
  const limit = floatOf(node, 'clip', 0);
  return names.map((name): Activation => {
    const alpha = (fallback: number): number => alphas.shift() ?? fallback;
    const beta = (fallback: number): number => betas.shift() ?? fallback;
    const apply = activation(tf, name.toLowerCase(), alpha, beta) ?? context.fail(`activation ${name} has no lowering`);
    return limit > 0 ? (x) => apply(tf.clipByValue(x, -limit, limit)) : apply;
  });
}

function activation(
  tf: TfjsModule,
  name: string,
  alpha: (fallback: number) => number,
  beta: (fallback: number) => number,
): Activation | undefined {
  const make: Readonly<Record<string, () => Activation>> = {
    sigmoid: () => (x) => tf.sigmoid(x),
    tanh: () => (x) => tf.tanh(x),
    relu: () => (x) => tf.relu(x),
    softsign: () => (x) => tf.div(x, tf.add(tf.abs(x), 1)),
    softplus: () => (x) => tf.softplus(x),
    elu: () => {
      const a = alpha(1);
      return (x) => tf.add(tf.relu(x), tf.mul(tf.expm1(tf.minimum(x, tf.scalar(0))), a));
    },
    leakyrelu: () => {
      const a = alpha(0.01);
      return (x) => tf.leakyRelu(x, a);
    },
    thresholdedrelu: () => {
      const a = alpha(1);
      return (x) => tf.where(tf.greater(x, a), x, tf.zerosLike(x));
    },
    affine: () => {
      const [a, b] = [alpha(1), beta(0)];
      return (x) => tf.add(tf.mul(x, a), b);
    },
    scaledtanh: () => {
      const [a, b] = [alpha(1), beta(1)];
      return (x) => tf.mul(tf.tanh(tf.mul(x, b)), a);
    },
    hardsigmoid: () => {
      const [a, b] = [alpha(0.2), beta(0.5)];
      return (x) => tf.clipByValue(tf.add(tf.mul(x, a), b), 0, 1);
    },
  };
  return make[name]?.();
}

const withBias = (tf: TfjsModule, x: TfjsTensor, bias: TfjsTensor | undefined): TfjsTensor => (bias ? tf.add(x, bias) : x);
const atTime = ({ tf, input }: Cell, t: number): TfjsTensor => tf.squeeze(tf.slice(input, [t, 0, 0], [1, -1, -1]), [0]);
/** Column block `g` of gates [N, G H] (or of a weight [G H, H] along its rows). */
const gate = (tf: TfjsModule, x: TfjsTensor, g: number, hidden: number, axis = 1): TfjsTensor =>
  tf.slice(
    x,
    x.shape.map((_, i) => (i === axis ? g * hidden : 0)),
    x.shape.map((d, i) => (i === axis ? hidden : d)),
  );

const apply = ({ activations }: Cell, i: number, x: TfjsTensor): TfjsTensor => (activations[i] as Activation)(x);

const rnnStep: Step = (cell, t, { h }) => {
  const { tf } = cell;
  return { h: apply(cell, 0, tf.add(atTime(cell, t), withBias(tf, tf.matMul(h, cell.weight, false, true), cell.bias))) };
};

/** Gates in ONNX's order: update z, reset r, hidden h. */
const gruStep: Step = (cell, t, { h }) => {
  const { tf, weight, bias } = cell;
  const hidden = h.shape[1] ?? 1;
  const x = atTime(cell, t);
  const biasOf = (from: number, count: number): TfjsTensor | undefined => bias && tf.slice(bias, [from * hidden], [count * hidden]);
  const weightOf = (from: number, count: number): TfjsTensor => tf.slice(weight, [from * hidden, 0], [count * hidden, -1]);
  const recurrent = withBias(tf, tf.matMul(h, weightOf(0, 2), false, true), biasOf(0, 2));
  const gates = tf.add(tf.slice(x, [0, 0], [-1, 2 * hidden]), recurrent);
  const [z, r] = [apply(cell, 0, gate(tf, gates, 0, hidden)), apply(cell, 0, gate(tf, gates, 1, hidden))];
  const resetAfter = intOf(cell.node, 'linear_before_reset', 0) !== 0;
  const inner = resetAfter
    ? tf.mul(r, withBias(tf, tf.matMul(h, weightOf(2, 1), false, true), biasOf(2, 1)))
    : withBias(tf, tf.matMul(tf.mul(r, h), weightOf(2, 1), false, true), biasOf(2, 1));
  const candidate = apply(cell, 1, tf.add(gate(tf, x, 2, hidden), inner));
  return { h: tf.add(tf.mul(tf.sub(1, z), candidate), tf.mul(z, h)) };
};

/** Gates in ONNX's order: input i, output o, forget f, cell c. */
const lstmStep: Step = (cell, t, { h, c }) => {
  const { tf, peepholes } = cell;
  const hidden = h.shape[1] ?? 1;
  const before = c as TfjsTensor;
  const gates = tf.add(atTime(cell, t), withBias(tf, tf.matMul(h, cell.weight, false, true), cell.bias));
  const peeped = (g: number, state: TfjsTensor): TfjsTensor => {
    const raw = gate(tf, gates, g, hidden);
    return peepholes ? tf.add(raw, tf.mul(tf.slice(peepholes, [g * hidden], [hidden]), state)) : raw;
  };
  const i = apply(cell, 0, peeped(0, before));
  const f = intOf(cell.node, 'input_forget', 0) !== 0 ? tf.sub(1, i) : apply(cell, 0, peeped(2, before));
  const after = tf.add(tf.mul(f, before), tf.mul(i, apply(cell, 1, gate(tf, gates, 3, hidden))));
  const o = apply(cell, 0, peeped(1, after));
  return { h: tf.mul(o, apply(cell, 2, after)), c: after };
};

/** Runs one direction over time; steps beyond a sequence's length leave its state and give zeros. */
function scan(
  cell: Cell,
  step: Step,
  first: State,
  steps: readonly number[],
  lengths: TfjsTensor | undefined,
): { all: TfjsTensor[]; last: State } {
  const { tf } = cell;
  let state = first;
  const all: TfjsTensor[] = [];
  for (const t of steps) {
    const next = step(cell, t, state);
    const live = lengths && tf.greater(lengths, tf.scalar(t, 'int32'));
    const keep = (a: TfjsTensor, b: TfjsTensor): TfjsTensor => (live ? tf.where(live, a, b) : a);
    all[t] = keep(next.h, tf.zerosLike(next.h));
    state = { h: keep(next.h, state.h), c: next.c && keep(next.c, state.c as TfjsTensor) };
  }
  return { all, last: state };
}

function recurrent(gates: number, defaults: readonly string[], step: Step): TfjsLowering {
  return (context) => {
    const { tf, node } = context;
    const batchFirst = intOf(node, 'layout', 0) === 1;
    const swap = (x: TfjsTensor): TfjsTensor => (batchFirst ? tf.transpose(x, [1, 0, 2]) : x);
    const x = swap(context.input(0));
    const [steps = 1, batch = 1, features = 1] = x.shape;
    const [w, r] = [context.input(1), context.input(2)];
    const [directions = 1, , hidden = 1] = r.shape;
    const of = (i: number, d: number): TfjsTensor | undefined => (context.has(i) ? tf.gather(context.input(i), d) : undefined);
    const stated = node.attributes.get('activations');
    const names = stated?.kind === 'strings' ? stated.value : range(0, directions).flatMap(() => defaults);
    const activations = activationsOf(tf, node, names, context);
    const lengths = context.has(4) ? tf.reshape(context.input(4), [batch, 1]) : undefined;
    const initial = (i: number, d: number): TfjsTensor =>
      context.has(i) ? tf.squeeze(tf.slice(swap(context.input(i)), [d, 0, 0], [1, -1, -1]), [0]) : tf.zeros([batch, hidden]);
    const results = range(0, directions).map((d) => {
      const bias = of(3, d);
      const wide = gates * hidden;
      const flat = tf.matMul(tf.reshape(x, [-1, features]), tf.gather(w, d), false, true);
      const cell: Cell = {
        tf,
        node,
        input: tf.reshape(withBias(tf, flat, bias && tf.slice(bias, [0], [wide])), [steps, batch, wide]),
        weight: tf.gather(r, d),
        bias: bias && tf.slice(bias, [wide], [wide]),
        peepholes: of(7, d),
        activations: activations.slice(d * defaults.length, (d + 1) * defaults.length),
      };
      const backward = stringOf(node, 'direction', 'forward') === 'reverse' || d === 1;
      const times = backward ? range(0, steps).reverse() : range(0, steps);
      const first = gates === 4 ? { h: initial(5, d), c: initial(6, d) } : { h: initial(5, d) };
      return scan(cell, step, first, times, lengths);
    });
    const all = tf.stack(range(0, steps).map((t) => tf.stack(results.map((result) => result.all[t] as TfjsTensor))));
    const h = tf.stack(results.map(({ last }) => last.h));
    const c = gates === 4 ? [swap(tf.stack(results.map(({ last }) => last.c as TfjsTensor)))] : [];
    return [batchFirst ? tf.transpose(all, [2, 0, 1, 3]) : all, swap(h), ...c];
  };
}

/** Forward passes; training rewrites these operators into plain ones. */
export const recurrentLowerings: Readonly<Record<string, TfjsLowering>> = {
  RNN: recurrent(1, ['Tanh'], rnnStep),
  GRU: recurrent(3, ['Sigmoid', 'Tanh'], gruStep),
  LSTM: recurrent(4, ['Sigmoid', 'Tanh', 'Tanh'], lstmStep),
};

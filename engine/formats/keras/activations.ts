import type { LayerContext } from './convertKeras';

type EmitActivation = (context: LayerContext, value: string) => string;

const single =
  (op: string): EmitActivation =>
  (context, value) =>
    context.emit(op, [value], {}, op.toLowerCase());

const swish: EmitActivation = (context, value) =>
  context.emit('Mul', [value, context.emit('Sigmoid', [value], {}, 'sigmoid')], {}, 'swish');

/** keras.activations by name. */
const ACTIVATIONS: Readonly<Record<string, EmitActivation>> = {
  linear: (_context, value) => value,
  relu: single('Relu'),
  relu6: (context, value) => context.emit('Clip', [value, context.scalar(0), context.scalar(6)], {}, 'relu6'),
  sigmoid: single('Sigmoid'),
  tanh: single('Tanh'),
  softplus: single('Softplus'),
  softsign: single('Softsign'),
  elu: single('Elu'),
  selu: single('Selu'),
  exponential: single('Exp'),
  swish,
  silu: swish,
  hard_sigmoid: (context, value) => context.emit('HardSigmoid', [value], { alpha: { float: 0.2 }, beta: { float: 0.5 } }, 'hard_sigmoid'),
  softmax: (context, value) => context.emit('Softmax', [value], { axis: context.axis(value, -1) }, 'softmax'),
};

export function emitActivation(context: LayerContext, value: string, name: string): string {
  const emit = ACTIVATIONS[name];
  return emit ? emit(context, value) : context.fail(`activation ${name} cannot be read`);
}

import type { GraphBuilder } from '../ops/graphBuilder';

export type Optimiser =
  | { readonly kind: 'sgd'; readonly momentum?: number; readonly nesterov?: boolean; readonly weightDecay?: number }
  | {
      readonly kind: 'adam' | 'adamw';
      readonly beta1?: number;
      readonly beta2?: number;
      readonly epsilon?: number;
      readonly weightDecay?: number;
    };

/** A tensor that lives from step to step: fed as `input`, replaced by `output`; starts as zeros. */
export interface StateSlot {
  readonly input: string;
  readonly output: string;
  /** The parameter it belongs to and whose form in memory it shares; left out for state of other kinds. */
  readonly parameter?: string;
  readonly dims: readonly number[];
}

export interface StepInputs {
  /** Scalar learning rate of this step. */
  readonly learningRate: string;
  /** Scalars 1/(1 - beta1^t) and 1/(1 - beta2^t) of Adam's bias correction. */
  readonly correction1?: string;
  readonly correction2?: string;
}

/**
 * Emits the update of one parameter as PyTorch defines it: SGD with momentum and Nesterov (torch.optim.SGD, dampening 0),
 * Adam (Kingma and Ba 2015, L2 in the gradient) and AdamW (Loshchilov and Hutter 2019, decoupled decay).
 *
 * @returns name of the new parameter and the state it carries
 */
export function emitUpdate(
  builder: GraphBuilder,
  optimiser: Optimiser,
  parameter: string,
  gradient: string,
  step: StepInputs,
): { updated: string; state: StateSlot[] } {
  return optimiser.kind === 'sgd'
    ? emitSgd(builder, optimiser, parameter, gradient, step)
    : emitAdam(builder, optimiser, parameter, gradient, step);
}

function emitSgd(
  builder: GraphBuilder,
  options: Extract<Optimiser, { kind: 'sgd' }>,
  parameter: string,
  gradient: string,
  step: StepInputs,
) {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  const emit = emitterFor(builder, parameter);
  const decayed = weightDecay ? emit('Add', gradient, emit('Mul', parameter, builder.scalar(weightDecay))) : gradient;
  if (!momentum) return { updated: emit('Sub', parameter, emit('Mul', decayed, step.learningRate)), state: [] };
  const slot = stateInput(builder, parameter, 'momentum');
  const velocity = emit('Add', emit('Mul', slot, builder.scalar(momentum)), decayed);
  const direction = nesterov ? emit('Add', decayed, emit('Mul', velocity, builder.scalar(momentum))) : velocity;
  const updated = emit('Sub', parameter, emit('Mul', direction, step.learningRate));
  return { updated, state: [{ input: slot, output: velocity, parameter, dims: builder.shape(parameter) }] };
}

function emitAdam(
  builder: GraphBuilder,
  options: Extract<Optimiser, { kind: 'adam' | 'adamw' }>,
  parameter: string,
  gradient: string,
  step: StepInputs,
) {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  const emit = emitterFor(builder, parameter);
  const scale = (value: string, by: number): string => emit('Mul', value, builder.scalar(by));
  const coupled = options.kind === 'adam' && weightDecay ? emit('Add', gradient, scale(parameter, weightDecay)) : gradient;
  const first = stateInput(builder, parameter, 'mean');
  const second = stateInput(builder, parameter, 'variance');
  const mean = emit('Add', scale(first, beta1), scale(coupled, 1 - beta1));
  const variance = emit('Add', scale(second, beta2), scale(emit('Mul', coupled, coupled), 1 - beta2));
  const root = builder.emit(
    'Sqrt',
    [emit('Mul', variance, step.correction2 ?? builder.scalar(1))],
    {},
    { name: `update/${parameter}/Sqrt` },
  );
  const ratio = emit('Div', emit('Mul', mean, step.correction1 ?? builder.scalar(1)), emit('Add', root, builder.scalar(epsilon)));
  const direction = options.kind === 'adamw' && weightDecay ? emit('Add', ratio, scale(parameter, weightDecay)) : ratio;
  const updated = emit('Sub', parameter, emit('Mul', direction, step.learningRate));
  const dims = builder.shape(parameter);
  return {
    updated,
    state: [
      { input: first, output: mean, parameter, dims },
      { input: second, output: variance, parameter, dims },
    ],
  };
}

const emitterFor =
  (builder: GraphBuilder, parameter: string) =>
  (op: string, a: string, b: string): string =>
    builder.emit(op, [a, b], {}, { name: `update/${parameter}/${op}` });

const stateInput = (builder: GraphBuilder, parameter: string, kind: string): string =>
  builder.input(`state/${kind}/${parameter}`, builder.shape(parameter));

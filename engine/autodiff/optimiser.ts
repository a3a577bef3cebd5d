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
  readonly accumulation?: AccumulationInputs;
}

/** Scalars that make one graph both gather the gradients of a batch and, at the last one, update. All of their products are exact. */
export interface AccumulationInputs {
  /** 0 at the first batch of an update, then 1. */
  readonly keep: string;
  /** 1 / batches. */
  readonly share: string;
  /** 1 at the last batch, else 0; the learning rate must be 0 where this is. */
  readonly apply: string;
  /** The factors of momentum, or of Adam's two means, at the last batch, else 1. */
  readonly decay1: string;
  readonly decay2: string;
}

/** The mean gradient so far, and the state that it is kept in from batch to batch. */
export function emitAccumulation(
  builder: GraphBuilder,
  { keep, share }: AccumulationInputs,
  parameter: string,
  gradient: string,
): { total: string; state: StateSlot } {
  const emit = emitterFor(builder, parameter);
  const slot = stateInput(builder, parameter, 'gradient');
  const total = emit('Add', emit('Mul', slot, keep), emit('Mul', gradient, share));
  return { total, state: { input: slot, output: total, parameter, dims: builder.shape(parameter) } };
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
  const velocity = emit('Add', emit('Mul', slot, step.accumulation?.decay1 ?? builder.scalar(momentum)), gained(emit, decayed, step));
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
  const { decay1 = builder.scalar(beta1), decay2 = builder.scalar(beta2) } = step.accumulation ?? {};
  const mean = emit('Add', emit('Mul', first, decay1), gained(emit, scale(coupled, 1 - beta1), step));
  const variance = emit('Add', emit('Mul', second, decay2), gained(emit, scale(emit('Mul', coupled, coupled), 1 - beta2), step));
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

/** What an average takes in: nothing before the last batch of an update. */
const gained = (emit: (op: string, a: string, b: string) => string, value: string, { accumulation }: StepInputs): string =>
  accumulation ? emit('Mul', value, accumulation.apply) : value;

const emitterFor =
  (builder: GraphBuilder, parameter: string) =>
  (op: string, a: string, b: string): string =>
    builder.emit(op, [a, beside(builder, b, builder.shape(a))], {}, { name: `update/${parameter}/${op}` });

/**
 * A scalar with as many axes as what it meets, where the last of these has one element, as in the weights of 1x1 convolutions: onnxruntime
 * would go through them element by element, eighty times slower.
 */
function beside(builder: GraphBuilder, value: string, dims: readonly number[]): string {
  if (dims.at(-1) !== 1 || builder.shape(value).length > 0) return value;
  const name = `${value}/${dims.length}d`;
  if (!builder.types.has(name)) builder.emitNamed('Reshape', [value, builder.ints(dims.map(() => 1))], {}, [name]);
  return name;
}

const stateInput = (builder: GraphBuilder, parameter: string, kind: string): string =>
  builder.input(`state/${kind}/${parameter}`, builder.shape(parameter));

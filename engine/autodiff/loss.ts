import { SurgeryError } from '../graph/errors';
import { type Graph, intOf, producersOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';

export interface Loss {
  /** Scalar: mean over the batch. */
  readonly loss: string;
  /** Scalar int64: samples whose largest logit is the label's. */
  readonly correct: string;
  /** Gradient of `loss` with respect to the logits, same shape. */
  readonly gradient: string;
}

/**
 * Softmax and cross-entropy in one: loss = mean(-log softmax(z)[y]), gradient (softmax(z) - onehot(y)) / B.
 *
 * @param logits [B, K] float32 (trailing axes of size one are dropped)
 * @param labels [B] int64
 */
export function softmaxCrossEntropy(builder: GraphBuilder, logits: string, labels: string): Loss {
  const shape = builder.shape(logits);
  const [batch, classes] = [shape[0], shape.slice(1).reduce((a, b) => a * b, 1)];
  if (batch === undefined || shape.length < 2 || classes !== Math.max(...shape.slice(1)))
    throw new SurgeryError('shape-mismatch', `Output ${logits} has shape [${shape.join(', ')}]; a classifier's output is [batch, classes]`);
  const named = (name: string): { name: string } => ({ name: `loss/${name}` });
  const flat = shape.length === 2 ? logits : builder.emit('Reshape', [logits, builder.ints([batch, classes])], {}, named('Flatten'));
  const logSoftmax = builder.emit('LogSoftmax', [flat], { axis: 1 }, named('LogSoftmax'));
  const oneHot = builder.emit('OneHot', [labels, builder.ints([classes]), builder.floats([2], [0, 1])], { axis: -1 }, named('OneHot'));
  const picked = builder.emit(
    'ReduceSum',
    [builder.emit('Mul', [logSoftmax, oneHot], {}, named('Picked')), builder.ints([0, 1])],
    { keepdims: 0 },
    named('Sum'),
  );
  const loss = builder.emit('Mul', [picked, builder.scalar(-1 / batch)], {}, named('Mean'));
  const predicted = builder.emit('ArgMax', [flat], { axis: 1, keepdims: 0 }, named('Predicted'));
  const hits = builder.emit('Cast', [builder.emit('Equal', [predicted, labels], {}, named('Hit'))], { to: 7 }, named('Hits'));
  const correct = builder.emit('ReduceSum', [hits, builder.ints([0])], { keepdims: 0 }, named('Correct'));
  const softmax = builder.emit('Exp', [logSoftmax], {}, named('Softmax'));
  const difference = builder.emit('Sub', [softmax, oneHot], {}, named('Difference'));
  const scaled = builder.emit('Mul', [difference, builder.scalar(1 / batch)], {}, named('Gradient'));
  const gradient = shape.length === 2 ? scaled : builder.emit('Reshape', [scaled, builder.ints(shape)], {}, named('Unflatten'));
  return { loss, correct, gradient };
}

/** How much of the loss a teacher's outputs make, and how far both sides' outputs are softened. */
export interface Distillation {
  /** From 0 (labels alone) to 1 (the teacher alone). */
  readonly weight: number;
  readonly temperature: number;
}

/**
 * Knowledge distillation (Hinton, Vinyals, Dean 2015, section 2): (1 - w) cross-entropy + w T^2 KL(softmax(t / T) || softmax(z / T)), mean
 * over the batch; its second part has the gradient w T (softmax(z / T) - softmax(t / T)) / B.
 *
 * @param logits [B, K] float32 (trailing axes of size one are dropped)
 * @param labels [B] int64
 * @param teacher logits of the teacher, same shape
 */
export function distillationLoss(
  builder: GraphBuilder,
  logits: string,
  labels: string,
  teacher: string,
  { weight, temperature }: Distillation,
): Loss {
  const plain = softmaxCrossEntropy(builder, logits, labels);
  const batch = builder.shape(logits)[0] ?? 1;
  const emit = (op: string, inputs: readonly string[], name: string, attributes = {}): string =>
    builder.emit(op, inputs, attributes, { name: `distillation/${name}` });
  const softened = (value: string, name: string): string =>
    emit('LogSoftmax', [emit('Mul', [value, builder.scalar(1 / temperature)], `${name}Softened`)], `${name}LogSoftmax`, { axis: 1 });
  const [student, wanted] = [softened(logits, 'Student'), softened(teacher, 'Teacher')];
  const target = emit('Exp', [wanted], 'Target');
  const divergences = emit('Mul', [target, emit('Sub', [wanted, student], 'Ratio')], 'Divergences');
  const axes = builder.ints(builder.shape(logits).map((_, axis) => axis));
  const divergence = emit('ReduceSum', [divergences, axes], 'Sum', { keepdims: 0 });
  const mixed = (value: string, factor: number, other: string, name: string): string =>
    emit('Add', [emit('Mul', [value, builder.scalar(1 - weight)], `${name}OfLabels`), scaled(other, factor, name)], name);
  const scaled = (value: string, factor: number, name: string): string => emit('Mul', [value, builder.scalar(factor)], `${name}OfTeacher`);
  const difference = emit('Sub', [emit('Exp', [student], 'Softmax'), target], 'Difference');
  return {
    loss: mixed(plain.loss, (weight * temperature ** 2) / batch, divergence, 'Loss'),
    correct: plain.correct,
    gradient: mixed(plain.gradient, (weight * temperature) / batch, difference, 'Gradient'),
  };
}

/** Mean of (z - target)^2 over all elements, gradient 2 (z - target) / elements; no prediction counts as correct. */
export function meanSquaredError(builder: GraphBuilder, output: string, target: string): Loss {
  const elements = elementCount(builder.shape(output));
  const named = (name: string): { name: string } => ({ name: `loss/${name}` });
  const difference = builder.emit('Sub', [output, target], {}, named('Difference'));
  const squares = builder.emit('Mul', [difference, difference], {}, named('Squares'));
  const axes = builder.ints(builder.shape(output).map((_, axis) => axis));
  const sum = builder.emit('ReduceSum', [squares, axes], { keepdims: 0 }, named('Sum'));
  const loss = builder.emit('Mul', [sum, builder.scalar(1 / elements)], {}, named('Mean'));
  const gradient = builder.emit('Mul', [difference, builder.scalar(2 / elements)], {}, named('Gradient'));
  const none = builder.constant({ type: 'int64', dims: [], data: BigInt64Array.of(0n) });
  return { loss, correct: builder.emit('Identity', [none], {}, named('Correct')), gradient };
}

/** The network's first output; a softmax at the end is taken off, because the loss has its own. */
export function logitsOf(source: Graph): string {
  const output = source.outputs[0]?.name;
  if (!output) throw new SurgeryError('graph-invalid', `Graph ${source.name} has no output`);
  const last = producersOf(source).get(output);
  const isSoftmax = last?.op === 'Softmax' || (last?.op === 'LogSoftmax' && intOf(last, 'axis', -1) !== 0);
  return isSoftmax ? (last.inputs[0] ?? output) : output;
}

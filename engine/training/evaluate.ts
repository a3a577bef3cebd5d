import { SurgeryError } from '../graph/errors';
import { classifierInputs } from '../autodiff/classifierInputs';
import { type Graph, type NamedValue, producersOf } from '../graph/graph';
import { type Tensor, elementCount, newArray } from '../graph/tensor';
import type { Program, Runtime } from '../runtime/runtime';
import { type EvaluationProgramOptions, evaluationProgram } from './evaluationProgram';

export interface Batch {
  /** [B, ...] as the network takes it. */
  readonly x: Tensor;
  /** [B] int64. */
  readonly y: Tensor;
  /** [B] int32, steps of each sequence; all steps when left out. */
  readonly lengths?: Tensor;
}

export interface Evaluation {
  readonly count: number;
  /** Mean cross-entropy (natural logarithm). */
  readonly loss: number;
  /** Fraction of samples whose largest output is the label's. */
  readonly accuracy: number;
}

export interface EvaluateOptions extends EvaluationProgramOptions {
  readonly signal?: AbortSignal;
  onBatch?(done: number): void;
}

/** Loss and accuracy of a classifier as the file stands: no operator table is needed, only the runtime. */
export async function evaluate(
  runtime: Runtime,
  network: Graph,
  batches: AsyncIterable<Batch> | Iterable<Batch>,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { x: input, lengths: ends } = classifierInputs(network);
  const output = network.outputs[0]?.name ?? '';
  const isProbability = producersOf(network).get(output)?.op === 'Softmax';
  const { program, batch, weights } = await evaluationProgram(runtime, network, options);
  const sums = { count: 0, loss: 0, correct: 0 };
  try {
    for await (const { x, y, lengths } of batches) {
      for (const part of batch === undefined ? [{ x, count: elementCount(y.dims), offset: 0 }] : chunks(x, batch)) {
        const feeds = new Map([...weights, [input.name, reshapeTo(part.x, input.shape?.length)]]);
        if (ends) feeds.set(ends.name, lengthsOf(ends, part.x, lengths, part.offset));
        const outputs = await runOne(program, feeds, output, options.signal);
        addScores(sums, outputs, y, part.offset, part.count, isProbability);
      }
      options.onBatch?.(sums.count);
    }
  } finally {
    program.dispose();
  }
  if (sums.count === 0) throw new SurgeryError('data-malformed', 'The data has no samples to evaluate');
  return { count: sums.count, loss: sums.loss / sums.count, accuracy: sums.correct / sums.count };
}

/** Lengths of the sequences of one piece in the type that the network takes; all steps where the data has none. */
export function lengthsOf({ type }: Pick<NamedValue, 'type'>, x: Tensor, lengths?: Tensor, offset = 0): Tensor {
  const [count = 0, steps = 0] = x.dims;
  const data = newArray(type, count);
  for (let i = 0; i < count; i++) {
    const length = lengths ? Number(lengths.data[offset + i] ?? 1) : steps;
    data[i] = type === 'int64' ? BigInt(length) : length;
  }
  return { type, dims: [count], data };
}

async function runOne(program: Program, feeds: ReadonlyMap<string, Tensor>, output: string, signal?: AbortSignal): Promise<Tensor> {
  const result = (await program.run(feeds, { signal })).get(output);
  if (!result || !(result.data instanceof Float32Array))
    throw new SurgeryError('operator-unsupported', `Output ${output} is ${result?.type ?? 'missing'}; a classifier's output is float32`);
  return result;
}

/** Samples as a network takes them whose input is a matrix. */
export const reshapeTo = (x: Tensor, rank: number | undefined): Tensor =>
  rank === 2 && x.dims.length > 2 ? { ...x, dims: [x.dims[0] ?? 1, elementCount(x.dims.slice(1))] } : x;

/** Pieces of exactly `size` samples for networks whose batch is fixed; the last one is filled up with zeros. */
function* chunks(x: Tensor, size: number): Generator<{ x: Tensor; count: number; offset: number }> {
  const total = x.dims[0] ?? 0;
  const per = elementCount(x.dims.slice(1));
  for (let offset = 0; offset < total; offset += size) {
    const count = Math.min(size, total - offset);
    const data = newArray(x.type, size * per) as Float32Array;
    data.set((x.data as Float32Array).subarray(offset * per, (offset + count) * per));
    yield { x: { type: x.type, dims: [size, ...x.dims.slice(1)], data }, count, offset };
  }
}

/** Sums of cross-entropy and of hits over a batch of outputs [B, K], against labels [B]. */
export function scoreOutputs(outputs: Tensor, y: Tensor, isProbability: boolean): { count: number; loss: number; correct: number } {
  const sums = { count: 0, loss: 0, correct: 0 };
  addScores(sums, outputs, y, 0, elementCount(y.dims), isProbability);
  return sums;
}

function addScores(
  sums: { count: number; loss: number; correct: number },
  outputs: Tensor,
  y: Tensor,
  offset: number,
  count: number,
  isProbability: boolean,
): void {
  const data = outputs.data as Float32Array;
  const classes = data.length / (outputs.dims[0] ?? 1);
  for (let i = 0; i < count; i++) {
    const row = data.subarray(i * classes, (i + 1) * classes);
    const label = Number(y.data[offset + i]);
    if (label < 0 || label >= classes)
      throw new SurgeryError('data-malformed', `Label ${label} is outside the network's ${classes} classes`);
    sums.loss += isProbability ? -Math.log(Math.max(row[label] as number, Number.MIN_VALUE)) : crossEntropy(row, label);
    if (row.indexOf(Math.max(...row)) === label) sums.correct++;
    sums.count++;
  }
}

/** -log softmax(z)[label] in double precision. */
export function crossEntropy(logits: Float32Array, label: number): number {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, z) => total + Math.exp(z - largest), 0);
  return Math.log(sum) + largest - (logits[label] as number);
}

import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { Random } from '../graph/random';
import { elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import type { ArchitectureOptions } from './createModel';
import { FORMS, factoredCell } from './factoredRecurrent';

/** A kind of recurrent cell: ONNX operator and number of gates. */
export interface Cell {
  readonly kind: string;
  readonly op: string;
  readonly gates: number;
}

const CELLS: readonly Cell[] = [
  { kind: 'lstm', op: 'LSTM', gates: 4 },
  { kind: 'gru', op: 'GRU', gates: 3 },
  { kind: 'rnn', op: 'RNN', gates: 1 },
];

/** What a recurrent node takes: the sequence [T, N, ...] and its weights. */
export interface CellInputs {
  readonly sequence: string;
  readonly weights: readonly [W: string, R: string, B: string];
}

export const RECURRENT = CELLS.flatMap(({ kind }) => [kind, ...FORMS.map((form) => `${form}-${kind}`)]);

/**
 * One recurrent layer over a sequence [N, T, F] and a linear layer on its last state. A dense one has PyTorch's initial weights,
 * uniform within 1 / sqrt(H); `bt-` and `tt-` ones factor the input-to-hidden matrix. With `lengths` the network has a second
 * input, the number of steps of each sequence, [N] int32.
 */
export function recurrentClassifier(name: string, options: ArchitectureOptions): Graph {
  const { input, classes, hidden = 256, lengths = false, dropout = 0, seed } = options;
  const [steps, features] = input;
  const [kind, form] = name.split('-').reverse();
  const cell = CELLS.find((c) => c.kind === kind);
  if (!cell || input.length !== 2 || steps === undefined || features === undefined)
    throw new SurgeryError('option-invalid', `--input ${input.join(',')} must be steps,features for ${name}`);
  if (dropout >= 1) throw new SurgeryError('option-invalid', `--dropout ${dropout} must be below 1`);
  const builder = new GraphBuilder(name);
  const random = new Random(seed);
  const drop = (value: string, label: string): string =>
    dropout > 0 ? builder.emit('Dropout', [value, builder.scalar(dropout)], {}, { name: `dropout.${label}` }) : value;
  const x = drop(builder.input('input', ['N', steps, features]), 'input');
  const ends = lengths ? builder.input('lengths', ['N'], 'int32') : '';
  const shape = { steps, features, hidden };
  const { sequence, weights } = form
    ? factoredCell(builder, random, cell, form, x, shape, options)
    : denseCell(builder, random, cell, x, shape);
  const attributes = { hidden_size: hidden, ...(cell.kind === 'gru' ? { linear_before_reset: 1 } : {}) };
  builder.emitNamed(cell.op, [sequence, ...weights, ...(ends ? [ends] : [])], attributes, ['', `${cell.kind}.last`], { name: cell.kind });
  const last = drop(builder.emitNamed('Squeeze', [`${cell.kind}.last`, builder.ints([0])], {}, ['last']), 'last');
  const bound = 1 / Math.sqrt(hidden);
  const head = [uniform(builder, random, bound, 'fc.weight', [classes, hidden]), uniform(builder, random, bound, 'fc.bias', [classes])];
  builder.output(builder.emitNamed('Gemm', [last, ...head], { transB: 1 }, ['fc.out'], { name: 'fc' }), 'logits');
  return builder.graph;
}

function denseCell(
  builder: GraphBuilder,
  random: Random,
  { kind, gates }: Cell,
  x: string,
  { features, hidden }: { features: number; hidden: number },
): CellInputs {
  const weight = (name: string, ...dims: number[]): string =>
    uniform(builder, random, 1 / Math.sqrt(hidden), `${kind}.${name}`, [1, ...dims]);
  const sequence = builder.emitNamed('Transpose', [x], { perm: [1, 0, 2] }, ['sequence']);
  const wide = gates * hidden;
  return { sequence, weights: [weight('W', wide, features), weight('R', wide, hidden), weight('B', 2 * wide)] };
}

function uniform(builder: GraphBuilder, random: Random, bound: number, name: string, dims: readonly number[]): string {
  const values = Float32Array.from({ length: elementCount(dims) }, () => random.uniform(-bound, bound));
  return builder.initializer(name, float32(dims, values));
}

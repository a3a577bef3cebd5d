import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { Random } from '../graph/random';
import { elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import type { ArchitectureOptions } from './createModel';

const CELLS: Readonly<Record<string, { readonly op: string; readonly gates: number }>> = {
  lstm: { op: 'LSTM', gates: 4 },
  gru: { op: 'GRU', gates: 3 },
  rnn: { op: 'RNN', gates: 1 },
};

export const RECURRENT = Object.keys(CELLS);

/**
 * One recurrent layer over a sequence [N, T, F] and a linear layer on its last state, with PyTorch's initial weights, uniform
 * within 1 / sqrt(H). With `lengths` the network has a second input, the number of steps of each sequence, [N] int32.
 */
export function recurrentClassifier(kind: string, { input, classes, hidden = 256, lengths = false, seed }: ArchitectureOptions): Graph {
  const [steps, features] = input;
  const cell = CELLS[kind];
  if (!cell || input.length !== 2 || steps === undefined || features === undefined)
    throw new SurgeryError('option-invalid', `--input ${input.join(',')} must be steps,features for ${kind}`);
  const builder = new GraphBuilder(kind);
  const random = new Random(seed);
  const bound = 1 / Math.sqrt(hidden);
  const weight = (name: string, ...dims: number[]): string =>
    builder.initializer(
      name,
      float32(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => random.uniform(-bound, bound)),
      ),
    );
  const wide = cell.gates * hidden;
  const x = builder.emitNamed('Transpose', [builder.input('input', ['N', steps, features])], { perm: [1, 0, 2] }, ['sequence']);
  const ends = lengths ? builder.input('lengths', ['N'], 'int32') : '';
  const parts = [weight(`${kind}.W`, 1, wide, features), weight(`${kind}.R`, 1, wide, hidden), weight(`${kind}.B`, 1, 2 * wide)];
  const attributes = { hidden_size: hidden, ...(kind === 'gru' ? { linear_before_reset: 1 } : {}) };
  builder.emitNamed(cell.op, [x, ...parts, ...(ends ? [ends] : [])], attributes, ['', `${kind}.last`], { name: kind });
  const last = builder.emitNamed('Squeeze', [`${kind}.last`, builder.ints([0])], {}, ['last']);
  const head = [weight('fc.weight', classes, hidden), weight('fc.bias', classes)];
  builder.output(builder.emitNamed('Gemm', [last, ...head], { transB: 1 }, ['fc.out'], { name: 'fc' }), 'logits');
  return builder.graph;
}

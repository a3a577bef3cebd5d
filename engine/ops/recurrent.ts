import { type Dim, UNKNOWN, isKnown } from '../graph/dims';
import { floatOf, intOf, stringOf } from '../graph/graph';
import type { CostContext, CouplingContext, ExpansionContext, OpRecord, RewriteContext, ShapeContext } from './opRecord';
import { type Cell, gruCell, lstmCell, rnnCell } from './recurrentCells';
import { expandRecurrent } from './recurrentExpansion';
import { NO_TFJS, inputType } from './shapeHelpers';
import { recurrentLowerings } from './tfjs/recurrent';

/** X [T, N, F] (layout 1: [N, T, F]), W [D, G H, F], R [D, G H, H]; Y [T, D, N, H], final states [D, N, H]. */
function recurrentShape(gates: number) {
  return (context: ShapeContext) => {
    const [x, w] = [context.shape(0), context.shape(1)];
    const type = inputType(context);
    const wide = w?.[1] ?? UNKNOWN;
    const hidden: Dim = intOf(context.node, 'hidden_size', 0) || (isKnown(wide) ? wide / gates : UNKNOWN);
    const directions = stringOf(context.node, 'direction', 'forward') === 'bidirectional' ? 2 : 1;
    const batchFirst = intOf(context.node, 'layout', 0) === 1;
    const [steps, batch] = [x?.[batchFirst ? 1 : 0] ?? UNKNOWN, x?.[batchFirst ? 0 : 1] ?? UNKNOWN];
    const all = { type, shape: batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden] };
    const final = { type, shape: batchFirst ? [batch, directions, hidden] : [directions, batch, hidden] };
    return [all, final, final].slice(0, context.node.outputs.length);
  };
}

/** Every step multiplies input and state by all gates, in every direction. */
function recurrentMacs(context: CostContext): number {
  const [a = 1, b = 1, features = 1] = context.inputShape(0);
  const [directions = 1, wide = 1] = context.inputShape(1);
  const hidden = context.inputShape(2)[2] ?? 1;
  return a * b * directions * wide * (features + hidden);
}

/**
 * Features of the input go with their columns of W. A hidden unit goes with its rows of every gate in W, R and B, its column of R,
 * its states and its place in every output, in both directions; time, batch and directions stay.
 */
function recurrentCoupling(context: CouplingContext): void {
  const hidden = context.inputShape(2)[2] ?? 1;
  const units = context.in(2, 2);
  const unit = (row: number): number => row % hidden;
  context.tie(context.in(0, 2), context.in(1, 2));
  for (const [i, axis] of [
    [1, 1],
    [2, 1],
    [3, 1],
    [5, 2],
    [6, 2],
    [7, 1],
  ] as const)
    if (context.input(i)) context.tie(context.in(i, axis), units, unit);
  for (const [i, axis] of [3, 2, 2].entries()) if (context.output(i)) context.tie(context.out(i, axis), units);
}

function recurrentRewrite(context: RewriteContext): void {
  const kept = context.keptIn(2, 2);
  if (kept) context.setAttribute('hidden_size', kept.length);
}

const DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  RNN: ['Tanh'],
};

/** The cell of one direction; refuses what the unrolled form does not have. */
function cellOf(context: ExpansionContext, direction: number): Cell {
  const { node } = context;
  const defaults = DEFAULTS[node.op] ?? [];
  const stated = node.attributes.get('activations');
  const all = stated?.kind === 'strings' && stated.value.length > 0 ? stated.value : [...defaults, ...defaults];
  const activations = all.slice(direction * defaults.length, (direction + 1) * defaults.length);
  if (context.input(7)) context.fail('peephole weights (input P) cannot be trained');
  if (floatOf(node, 'clip', 0) !== 0) context.fail('clip cannot be trained');
  if (intOf(node, 'input_forget', 0) !== 0) context.fail('input_forget cannot be trained');
  const known = (['Tanh', 'Relu', 'Sigmoid'] as const).find((name) => name.toLowerCase() === activations[0]?.toLowerCase());
  if (node.op === 'RNN' && known) return rnnCell(known);
  if (activations.join().toLowerCase() !== defaults.join().toLowerCase())
    context.fail(`activations ${activations.join(', ')} cannot be trained; ${defaults.join(', ')} can`);
  return node.op === 'LSTM' ? lstmCell : gruCell(intOf(node, 'linear_before_reset', 0) !== 0);
}

const recurrent = (op: string, gates: number, outputs: number): OpRecord => ({
  op,
  domain: '',
  opsets: [1, 99],
  inputs: [3, 8],
  outputs: [0, outputs],
  shape: recurrentShape(gates),
  gradient: { expand: expandRecurrent(cellOf) },
  macs: recurrentMacs,
  coupling: recurrentCoupling,
  rewrite: recurrentRewrite,
  tfjs: recurrentLowerings[op] ?? NO_TFJS,
});

export const recurrentRecords: readonly OpRecord[] = [recurrent('LSTM', 4, 3), recurrent('GRU', 3, 2), recurrent('RNN', 1, 2)];

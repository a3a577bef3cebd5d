import { type Dim, type Shape, isKnown } from '../graph/dims';
import { elementCount } from '../graph/tensor';
import type { Emitter } from '../ops/opRecord';
import { findContractionPath } from './contractionPath';
import { emitNetwork } from './emitNetwork';
import { type Passes, fastestPath } from './productPlan';
import { DATA, type TensorNetwork, weightNetwork, withBatch } from './tensorNetwork';

/** A weight of two axes written as a network, whose modes may make more inputs or outputs than there are. */
export interface EmittedForm {
  readonly network: TensorNetwork;
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
}

/** What the layer takes and gives; `gates` splits the outputs into parts that are padded each for itself. */
export interface LayerSizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly gates: number;
}

/** x [..., inputs] times the weight: [..., outputs]. Inputs beyond those there are count as zeros, outputs beyond them are cut off. */
export function emitLayer(
  emitter: Emitter,
  form: EmittedForm,
  { inputs, outputs, gates }: LayerSizes,
  x: { readonly value: string; readonly shape: Shape },
  weights: ReadonlyMap<string, string>,
  options: { readonly name: string; readonly rows: number; readonly passes: Passes },
): string {
  const { name, rows, passes } = options;
  const network = withBatch(form.network, rows);
  const [wideIn, wideOut] = [elementCount(form.inputModes), elementCount(form.outputModes)];
  const padded = wideIn === inputs ? x.value : emitPad(emitter, x, wideIn - inputs, name);
  const { tree } = fastestPath(network, passes);
  const matrix = emitNetwork(emitter, network, tree, new Map([...weights, [DATA, padded]]), name, passes);
  const cut = wideOut === outputs ? matrix : cutOutputs(emitter, matrix, wideOut, outputs, gates, name);
  return restoreRows(emitter, x, cut, outputs, name);
}

/** The weight itself, [inputs, outputs], rebuilt from its network. */
export function emitWeight(
  emitter: Emitter,
  form: EmittedForm,
  { inputs, outputs, gates }: LayerSizes,
  weights: ReadonlyMap<string, string>,
  name: string,
): string {
  const network = weightNetwork(form.network);
  const [wideIn, wideOut] = [elementCount(form.inputModes), elementCount(form.outputModes)];
  const full = emitNetwork(emitter, network, findContractionPath(network).tree, weights, name);
  const emit = (op: string, values: string[]): string => emitter.emit(op, values, {}, { name: `${name}/${op}` });
  const matrix = emit('Reshape', [full, emitter.ints([wideIn, wideOut])]);
  const rows = wideIn === inputs ? matrix : emit('Slice', [matrix, emitter.ints([0]), emitter.ints([inputs]), emitter.ints([0])]);
  return wideOut === outputs ? rows : cutOutputs(emitter, rows, wideOut, outputs, gates, name);
}

function emitPad(emitter: Emitter, { value, shape }: { value: string; shape: Shape }, missing: number, name: string): string {
  const pads = [...shape.map(() => 0), ...shape.map((_, axis) => (axis === shape.length - 1 ? missing : 0))];
  return emitter.emit('Pad', [value, emitter.ints(pads)], {}, { name: `${name}/Pad` });
}

/** The first outputs of every gate. */
function cutOutputs(emitter: Emitter, matrix: string, wide: number, outputs: number, gates: number, name: string): string {
  const emit = (op: string, values: string[]): string => emitter.emit(op, values, {}, { name: `${name}/${op}` });
  const split = emit('Reshape', [matrix, emitter.ints([-1, gates, wide / gates])]);
  const cut = emit('Slice', [split, emitter.ints([0]), emitter.ints([outputs / gates]), emitter.ints([2])]);
  return emit('Reshape', [cut, emitter.ints([-1, outputs])]);
}

/** [rows, outputs] as [..., outputs], with the axes of x in front. */
function restoreRows(
  emitter: Emitter,
  { value, shape }: { value: string; shape: Shape },
  matrix: string,
  outputs: number,
  name: string,
): string {
  if (shape.length === 2) return matrix;
  const lead: readonly Dim[] = shape.slice(0, -1);
  const emit = (op: string, values: string[], attributes = {}): string => emitter.emit(op, values, attributes, { name: `${name}/${op}` });
  if (lead.filter((d) => !isKnown(d)).length <= 1)
    return emit('Reshape', [matrix, emitter.ints([...lead.map((d) => (isKnown(d) ? d : -1)), outputs])]);
  const front = emit('Slice', [emit('Shape', [value]), emitter.ints([0]), emitter.ints([lead.length]), emitter.ints([0])]);
  return emit('Reshape', [matrix, emit('Concat', [front, emitter.ints([outputs])], { axis: 0 })]);
}

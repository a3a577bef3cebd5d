import { elementCount } from '../../graph/tensor';
import { outputDifference } from '../../pruning/maskedDifference';
import { summarise } from './inspect';
import { type LoadedModel, loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

interface LayerChange {
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly before?: readonly number[];
  readonly after?: readonly number[];
}

export interface Comparison {
  readonly a: { path: string; bytes: number; parameters: number; macs: number };
  readonly b: { path: string; bytes: number; parameters: number; macs: number };
  /** Weights by name, with their shapes. */
  readonly changes: readonly LayerChange[];
  readonly identicalWeights: boolean;
  /** Relative to the second's largest output on random input; missing when the inputs or outputs differ. */
  readonly outputDifference?: number;
}

export async function compareFiles(
  a: string,
  b: string,
  _context: OperationContext = {},
): Promise<{ document: Comparison; lines: string[] }> {
  const [first, second] = [await loadModel(a), await loadModel(b)];
  const changes = weightChanges(first, second);
  const sameInterface = interfaceOf(first) === interfaceOf(second);
  const difference = sameInterface ? await outputDifference(runtime(), first.graph, second.graph) : undefined;
  const document: Comparison = {
    a: overview(first),
    b: overview(second),
    changes,
    identicalWeights:
      changes.length === 0 &&
      [...first.graph.initializers].every(([name, t]) => sameBytes(t.data, second.graph.initializers.get(name)?.data)),
    ...(difference === undefined ? {} : { outputDifference: difference }),
  };
  return { document, lines: describe(document) };
}

const interfaceOf = ({ graph }: LoadedModel): string =>
  JSON.stringify([graph.inputs, graph.outputs].map((list) => list.map(({ name, type, shape }) => [name, type, shape])));

function overview(model: LoadedModel): Comparison['a'] {
  const { totals } = summarise(model);
  return { path: model.path, bytes: model.bytes, parameters: totals.parameters, macs: totals.macs };
}

function weightChanges(a: LoadedModel, b: LoadedModel): LayerChange[] {
  const names = [...new Set([...a.graph.initializers.keys(), ...b.graph.initializers.keys()])];
  return names.flatMap((name): LayerChange[] => {
    const [before, after] = [a.graph.initializers.get(name)?.dims, b.graph.initializers.get(name)?.dims];
    if (!before) return [{ name, change: 'added', after }];
    if (!after) return [{ name, change: 'removed', before }];
    return before.join() === after.join() ? [] : [{ name, change: 'changed', before, after }];
  });
}

function sameBytes(a: unknown, b: unknown): boolean {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b)) return a === b;
  return Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;
}

function describe({ a, b, changes, outputDifference: difference, identicalWeights }: Comparison): string[] {
  const percent = (x: number, y: number): string =>
    `${x.toLocaleString('en-US')} to ${y.toLocaleString('en-US')} (${((100 * y) / Math.max(1, x)).toFixed(1)} %)`;
  const shape = (dims: readonly number[] | undefined): string => (dims ? `[${dims.join(', ')}] ${elementCount(dims)}` : '-');
  return [
    `parameters ${percent(a.parameters, b.parameters)}`,
    `MACs ${percent(a.macs, b.macs)}`,
    `bytes ${percent(a.bytes, b.bytes)}`,
    ...changes.map((c) => `${c.change}: ${c.name} ${shape(c.before)} -> ${shape(c.after)}`),
    identicalWeights ? 'All weights are identical.' : '',
    difference === undefined
      ? 'Inputs or outputs differ, so the outputs were not compared.'
      : `Largest output difference on random input: ${difference.toExponential(2)} (relative)`,
  ].filter(Boolean);
}

import type { NoiseOptions } from '../engine/contract/noise';
import type { NoiseOperation } from '../engine/contract/plan';
import type { ModelDocument } from './modelDocument';

/** The noise that the plan asks for; the last operation counts. */
export const plannedNoise = (document: ModelDocument): NoiseOptions | undefined =>
  document.operations.findLast((o): o is NoiseOperation => o.kind === 'insert-noise' && o.enabled)?.noise;

/** Puts noise into the plan in place of what is there, or takes it out, as one undoable edit. */
export async function planNoise(document: ModelDocument, noise: NoiseOptions | undefined): Promise<void> {
  const others = document.operations.filter((o) => o.kind !== 'insert-noise');
  const operation: NoiseOperation[] = noise ? [{ kind: 'insert-noise', id: 'noise', enabled: true, noise }] : [];
  await document.edit(noise ? 'Noise while training' : 'No noise while training', [...others, ...operation]);
}

/** Adds a layer to those that take noise, or takes it away. */
export async function toggleNoise(document: ModelDocument, layer: string): Promise<void> {
  const planned = plannedNoise(document);
  const before = planned ? (planned.layers ?? document.summary.noiseLayers) : [];
  const layers = before.includes(layer) ? before.filter((name) => name !== layer) : [...before, layer];
  await planNoise(document, layers.length > 0 ? { method: 'anl', ...planned, layers } : undefined);
}

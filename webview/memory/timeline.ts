import type { MemoryKind, MemoryPoint } from '../../engine/contract/memory';
import type { MemorySteps } from '../../engine/contract/memoryPage';

/** From the bottom of the stack to its top. */
export const KINDS: readonly MemoryKind[] = ['weights', 'optimiser', 'inputs', 'activations', 'gradients', 'workspace'];

export const KIND_NAMES: Readonly<Record<MemoryKind, string>> = {
  weights: 'weights',
  optimiser: 'optimiser',
  inputs: 'inputs',
  activations: 'activations',
  gradients: 'gradients',
  workspace: 'workspace',
};

export const PHASE_NAMES: Readonly<Record<MemoryPoint['phase'], string>> = {
  forward: 'forward',
  backward: 'backward',
  update: 'update',
  recompute: 'computed again',
};

/** The steps of an iteration with what is drawn of them. */
export interface Timeline {
  readonly length: number;
  readonly kinds: readonly MemoryKind[];
  /** Bytes in the pool at each step. */
  readonly totals: Float64Array;
  readonly offloaded: Float64Array;
  readonly mostOffloaded: number;
  /** Step with the most bytes in the pool. */
  readonly peak: number;
  /** First step of the backward pass; the length when there is none. */
  readonly backward: number;
  layer(step: number): string;
  phase(step: number): MemoryPoint['phase'];
  bytes(kind: MemoryKind, step: number): number;
}

export function timelineOf({ layers, layer, phase, bytes, offloaded }: MemorySteps): Timeline {
  const kinds = [...KINDS.filter((kind) => bytes[kind]), ...(Object.keys(bytes) as MemoryKind[]).filter((kind) => !KINDS.includes(kind))];
  const totals = Float64Array.from(phase, (_, step) => kinds.reduce((sum, kind) => sum + (bytes[kind]?.[step] ?? 0), 0));
  const firstBackward = phase.indexOf('backward');
  return {
    length: phase.length,
    kinds,
    totals,
    offloaded: Float64Array.from(offloaded),
    mostOffloaded: offloaded.reduce((a, b) => Math.max(a, b), 0),
    peak: totals.reduce((best, total, step) => (total > (totals[best] ?? 0) ? step : best), 0),
    backward: firstBackward < 0 ? phase.length : firstBackward,
    layer: (step) => layers[layer[step] ?? -1] ?? '',
    phase: (step) => phase[step] ?? 'forward',
    bytes: (kind, step) => bytes[kind]?.[step] ?? 0,
  };
}

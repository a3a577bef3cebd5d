import type { SurgeryPlan } from './plan';
import type { TrainOptions } from './protocol';

export type MemoryPolicy = 'none' | 'liveness' | 'offload' | 'recompute' | 'auto';

/** What training within a budget took beside what was planned. */
export interface TrainingMemory {
  readonly poolBytes: number;
  readonly spillBytes: number;
  /** Bytes moved in a step. */
  readonly trafficBytes: number;
  /** Memory of the process with model and data loaded, before training, and most that it grew beyond that while it trained. */
  readonly processFloorBytes: number;
  readonly processBytes: number;
}

/** What a stretch of memory holds. */
export type MemoryKind = 'weights' | 'optimiser' | 'inputs' | 'activations' | 'gradients';

/** One policy at the budget asked for, or at the least pool that holds everything. */
export interface PolicyReport {
  readonly policy: MemoryPolicy;
  /** Whether the budget holds it; the other figures are missing if not. */
  readonly feasible: boolean;
  /** Most bytes allocated at once, and the pool that this needs with what lies fallow between. */
  readonly peakBytes?: number;
  readonly poolBytes?: number;
  readonly spillBytes?: number;
  /** Bytes moved to the spill and back in an iteration. */
  readonly trafficBytes?: number;
  readonly recomputations?: number;
  /** Estimated time that it adds to an iteration, and the part of the whole that this is. */
  readonly extraSeconds?: number;
  readonly extraFraction?: number;
  /** Least budget, and what sets it. */
  readonly floorBytes: number;
  readonly floorLayer: string;
}

/** Bytes while one operator runs. Points of one layer and phase may be merged into one, with the largest of each. */
export interface MemoryPoint {
  readonly layer: string;
  readonly phase: 'forward' | 'backward' | 'update' | 'recompute';
  readonly bytes: Readonly<Record<MemoryKind, number>>;
  readonly offloaded: number;
  /** Largest storages alive. */
  readonly alive: readonly { readonly name: string; readonly bytes: number; readonly kind: MemoryKind }[];
}

export interface MemoryReport {
  readonly batch: number;
  readonly budget?: number;
  readonly policy: MemoryPolicy;
  readonly operations: number;
  /** Weights, state of the optimiser and constants, which always stay. */
  readonly pinnedBytes: number;
  /** Estimated time of an iteration without saving memory. */
  readonly seconds: number;
  readonly policies: readonly PolicyReport[];
  /** Of the policy asked for. */
  readonly timeline: readonly MemoryPoint[];
  /** Largest batch that the budget holds; only when asked for. */
  readonly largestBatch?: number;
  /** What would help when the budget does not hold the batch. */
  readonly advice?: string;
}

export interface MemoryOptions extends Pick<TrainOptions, 'optimiser' | 'momentum' | 'layout'> {
  readonly batch: number;
  readonly budget?: number;
  readonly policy?: MemoryPolicy;
  /** Looked for when left out only if the budget does not hold the batch. */
  readonly largestBatch?: boolean;
}

/** What one policy costs at one budget. */
export interface MemoryCost {
  readonly policy: MemoryPolicy;
  readonly budget: number;
  readonly trafficBytes: number;
  readonly recomputations: number;
  /** Estimated time that it adds to an iteration, and the part of the whole that this is. */
  readonly extraSeconds: number;
  readonly extraFraction: number;
}

/** The report with its timeline as JSON, or a trace for chrome://tracing and Perfetto. */
export type MemoryFormat = 'json' | 'trace';

/** A step that has just run within planned memory. */
export interface StepMemory {
  readonly poolBytes: number;
  /** Most bytes of the pool that were allocated at once. */
  readonly peakBytes: number;
  readonly spillBytes: number;
  /** Bytes moved to the spill and back. */
  readonly trafficBytes: number;
  /** Measured. */
  readonly stepSeconds: number;
  /** Memory of the whole engine process after the step. */
  readonly processBytes: number;
}

export interface MemoryRequests {
  /** Memory of the engine process, and of the machine. */
  'engine/memory': { params: Record<string, never>; result: { processBytes: number; machineBytes: number } };
  /** The plan of a training step of a file, or of a file with a surgery plan applied. */
  'model/memory': { params: { job: string; path: string; plan?: SurgeryPlan } & MemoryOptions; result: MemoryReport };
  /** What budgets between the floor of each saving policy and the least pool that holds everything cost. */
  'memory/costs': {
    params: { job: string; path: string; plan?: SurgeryPlan; points: number } & Omit<MemoryOptions, 'budget' | 'policy' | 'largestBatch'>;
    result: readonly MemoryCost[];
  };
  /** Writes the timeline to a file. */
  'memory/export': {
    params: { job: string; path: string; plan?: SurgeryPlan; format: MemoryFormat; output: string } & MemoryOptions;
    result: { output: string };
  };
}

import type { SurgeryPlan } from './plan';
import type { TrainOptions } from './protocol';

export type MemoryPolicy = 'none' | 'liveness' | 'offload' | 'recompute' | 'auto';

/** What a step really took of the memory that was planned for it. */
export interface MeasuredMemory {
  /** Most bytes of the pool that were allocated at once; left out where the runtime does not count them. */
  readonly peakBytes?: number;
  /** Bytes moved to the spill and back. */
  readonly trafficBytes: number;
  /** Time in which at least one transfer was under way, and the part of it in which nothing was computed for want of it. */
  readonly transferSeconds: number;
  readonly waitedSeconds: number;
}

/** Part of the time of transfers that was hidden behind computing; undefined where nothing was moved. */
export const hiddenPart = ({
  transferSeconds,
  waitedSeconds,
}: Pick<MeasuredMemory, 'transferSeconds' | 'waitedSeconds'>): number | undefined =>
  transferSeconds > 0 ? 1 - waitedSeconds / transferSeconds : undefined;

/** What training within a budget took beside what was planned. */
export interface TrainingMemory {
  readonly poolBytes: number;
  /** Most bytes allocated at once: planned, and the most that any step reached. */
  readonly peakBytes: number;
  readonly measuredPeakBytes?: number;
  readonly spillBytes: number;
  /** Bytes moved in a step. */
  readonly trafficBytes: number;
  /** With a dynamic workspace. */
  readonly convolutions?: readonly ConvolutionForm[];
  /** Of a step in the mean: time with a transfer under way, and the part of it that computing waited. */
  readonly transferSeconds: number;
  readonly waitedSeconds: number;
  /** Memory of the process with model and data loaded, before training, and most that it grew beyond that while it trained. */
  readonly processFloorBytes: number;
  readonly processBytes: number;
}

/** What a stretch of memory holds; 'workspace' is what the operators of one layer hand to each other within one pass. */
export type MemoryKind = 'weights' | 'optimiser' | 'inputs' | 'activations' | 'gradients' | 'workspace';

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

/**
 * How gradients of convolutions are computed within a budget. 'fixed': as without one, so that results do not depend on the budget. 'dynamic': in
 * whatever way takes the least time within it; results then differ by rounding.
 */
export type WorkspaceMode = 'fixed' | 'dynamic';

/** How a gradient of a convolution is computed, which can be computed in several ways. */
export interface ConvolutionForm {
  readonly layer: string;
  readonly gradient: 'input' | 'weight';
  readonly form: string;
  /** What it holds beside what comes in and goes out. */
  readonly workspaceBytes: number;
  /** What the tensors held at its step leave of the budget. */
  readonly bytesLeft: number;
  /** What is taken where memory does not matter. */
  readonly fastestForm: string;
  readonly fastestWorkspaceBytes: number;
}

/** In one clause, how many gradients had no room for their fastest form. */
export function describeForms(convolutions: readonly ConvolutionForm[]): string {
  const slimmer = convolutions.filter(({ form, fastestForm }) => form !== fastestForm).length;
  return `${slimmer} of ${convolutions.length} gradients of convolutions are computed in a slimmer way than the fastest`;
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
  /** Of the policy asked for, with a dynamic workspace: gradients of convolutions that can be computed in several ways. */
  readonly convolutions?: readonly ConvolutionForm[];
  /** Largest batch that the budget holds; only when asked for. */
  readonly largestBatch?: number;
  /** What would help when the budget does not hold the batch. */
  readonly advice?: string;
}

export interface MemoryOptions extends Pick<TrainOptions, 'optimiser' | 'momentum' | 'layout'> {
  readonly batch: number;
  readonly budget?: number;
  readonly policy?: MemoryPolicy;
  /** 'fixed' by default. */
  readonly workspace?: WorkspaceMode;
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

/** The report with its timeline as JSON, a trace for chrome://tracing and Perfetto, or a memory snapshot of PyTorch's for pytorch.org/memory_viz. */
export type MemoryFormat = 'json' | 'trace' | 'snapshot';

/** A step that has just run within planned memory. */
export interface StepMemory extends MeasuredMemory {
  readonly poolBytes: number;
  readonly plannedPeakBytes: number;
  readonly spillBytes: number;
  /** Measured. */
  readonly stepSeconds: number;
  /** Memory of the whole engine process after the step. */
  readonly processBytes: number;
}

/** What the pool holds over a stretch of a step while it runs. */
export interface PoolTrace {
  /** Milliseconds since the step began, rising, and the bytes allocated then. */
  readonly ms: readonly number[];
  readonly bytes: readonly number[];
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Since the step began. */
  readonly stepMs: number;
}

export interface MemoryEvents {
  /** A training step within planned memory, from 1, while it runs. */
  'memory/pool': { job: string; step: number } & PoolTrace;
}

/** What one technique of SuperNeurons makes of a network of the paper, under the paper's own cost model. */
export interface PaperResult {
  readonly peakMiB: number;
  /** Step from 1 at which the peak is reached. */
  readonly step: number;
  /** Tensors that are live at the peak. */
  readonly tensors: number;
  /** Forward computations beyond the first of each layer. */
  readonly recomputes: number;
}

type PaperTechnique = 'baseline' | 'liveness' | 'offload' | 'speedCentric' | 'memoryCentric' | 'costAware';

export type PaperReport = Readonly<Record<PaperTechnique, PaperResult>>;

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
  /** A network of SuperNeurons' own (alexnet, resnet50, resnet101). */
  'memory/paper': { params: { network: string; batch: number }; result: PaperReport };
  /** Writes the timeline to a file. */
  'memory/export': {
    params: { job: string; path: string; plan?: SurgeryPlan; format: MemoryFormat; output: string } & MemoryOptions;
    result: { output: string };
  };
}

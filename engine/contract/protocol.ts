import type { DeviceReport } from './devices';
import type { MemoryEvents, MemoryPolicy, MemoryRequests, StepMemory, TrainingMemory, WorkspaceMode } from './memory';
import type { Criterion, ImportanceReport, Measured, ModelSummary, Totals } from './models';
import type { KernelRequests } from './kernels';
import type { DecompositionEvents, DecompositionRequests } from './decomposition';
import type { NoiseMagnitudes, NoiseOptions, NoiseRequests } from './noise';
import type { SurgeryPlan } from './plan';
import type { RobustnessRequests } from './robustness';
import type { PruningEvents, PruningRequests } from './tickTock';

/** A failure that crosses a process border (DESIGN 5.3). Codes are those of engine/graph/errors. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;
}

/** Where the labelled data is and how it is scaled. */
export interface DataOptions {
  readonly data: string;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly raw?: boolean;
  readonly limit?: number;
}

/** A model file whose outputs are learnt beside the labels (knowledge distillation). */
export interface DistillationOptions {
  readonly teacher: string;
  /** Part of the loss that the teacher makes; 0.5 when left out. */
  readonly weight?: number;
  /** What both sides' logits are divided by; 4 when left out. */
  readonly temperature?: number;
}

export interface TrainOptions extends DataOptions {
  readonly epochs: number;
  readonly batch?: number;
  readonly learningRate?: number;
  readonly optimiser?: 'sgd' | 'adam' | 'adamw';
  readonly schedule?: 'constant' | 'step' | 'cosine' | 'triangular' | 'inverse';
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  readonly seed?: number;
  readonly augment?: boolean;
  readonly noise?: NoiseOptions;
  readonly distillation?: DistillationOptions;
  /** Layout of activations in memory; the fastest that works when left out. */
  readonly layout?: 'auto' | 'portable' | 'blocked';
  /** Batches whose mean gradient makes one update. */
  readonly accumulate?: number;
  /** Bytes of the pool that the training step must fit into, and how it is made to. */
  readonly memoryBudget?: number;
  readonly memoryPolicy?: MemoryPolicy;
  readonly workspace?: WorkspaceMode;
}

export interface EpochResult {
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly seconds: number;
  /** Means over the epoch's steps. */
  readonly noise?: NoiseMagnitudes;
}

export interface PruneBudget {
  /** Fraction of the MACs or parameters kept, or the number of filters kept. */
  readonly flops?: number;
  readonly params?: number;
  readonly filters?: number;
  /** Median milliseconds that one sample may take on this machine. */
  readonly latency?: number;
}

/** Multiple that channel counts are kept at; 'auto' takes the one that the kernels of this machine like. */
export type RoundTo = number | 'auto';

/** What holds while channels are picked. */
export interface PruneLimits {
  readonly roundTo?: RoundTo;
  /** Fractions of its channels that every group keeps at least (0.1 when left out) and at most. */
  readonly minimumKept?: number;
  readonly maximumKept?: number;
  /** Layers or groups that lose nothing. */
  readonly locked?: readonly string[];
  /** Ranks by score per MAC, or per parameter where the budget counts those. */
  readonly perCost?: boolean;
}

/** Requests: the answer comes when the work is done. Long ones report progress under the job id given. */
export interface EngineRequests
  extends DecompositionRequests, KernelRequests, NoiseRequests, RobustnessRequests, PruningRequests, MemoryRequests {
  'engine/info': { params: Record<string, never>; result: EngineInfo };
  /** Summary of a file, or of a file with a plan applied. */
  'model/inspect': { params: { path: string; plan?: SurgeryPlan }; result: ModelSummary };
  'model/importance': {
    params: {
      job: string;
      path: string;
      plan?: SurgeryPlan;
      criterion: Criterion;
      batches?: number;
      batch?: number;
    } & Partial<DataOptions>;
    result: ImportanceReport;
  };
  /** Picks channels for a budget from scores; no file changes. */
  'plan/prune': {
    params: { path: string; plan?: SurgeryPlan; importance: ImportanceReport; budget: PruneBudget } & PruneLimits;
    result: SurgeryPlan;
  };
  /** Totals when these channels are kept (the live numbers behind the threshold). */
  'plan/totals': { params: { path: string; plan: SurgeryPlan }; result: Totals };
  /** Applies a plan and writes the model; says how far pruned and masked network differ on random input. */
  'plan/apply': { params: { job: string; path: string; plan: SurgeryPlan; output: string }; result: ApplyResult };
  'model/evaluate': {
    params: { job: string; path: string; plan?: SurgeryPlan } & DataOptions;
    result: { count: number; loss: number; accuracy: number };
  };
  /** Writes a Keras or tfjs model as ONNX. */
  'model/convert': { params: { path: string; output: string }; result: { format: string; path: string } };
  'model/measure': { params: { job: string; path: string; plan?: SurgeryPlan } & Partial<DataOptions>; result: Measured };
  'model/train': {
    params: { job: string; path: string; output: string } & TrainOptions;
    result: { epochs: readonly EpochResult[]; memory?: TrainingMemory };
  };
}

export interface ApplyResult {
  readonly summary: ModelSummary;
  readonly maskedDifference: number;
}

export interface EngineInfo {
  readonly version: string;
  readonly runtime: string;
  readonly threads: number;
  readonly devices: readonly DeviceReport[];
}

/** Notifications from the engine. */
export interface EngineEvents extends PruningEvents, DecompositionEvents, MemoryEvents {
  'job/progress': {
    job: string;
    done: number;
    total: number;
    unit: string;
    message?: string;
    epoch?: EpochResult;
    noise?: NoiseMagnitudes;
    memory?: StepMemory;
  };
  'engine/log': { level: 'info' | 'warn' | 'error'; message: string };
}

/** Notifications to the engine. Cancelling takes effect within one training step; the request then fails with code 'cancelled'. */
export interface EngineCommands {
  'job/cancel': { job: string };
}

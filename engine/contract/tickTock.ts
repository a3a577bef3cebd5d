import type { Measured } from './models';
import type { NoiseOptions } from './noise';
import type { DataOptions, PruneBudget, RoundTo } from './protocol';
import type { SurgeryPlan } from './plan';
import type { GroupRequests } from './pruning';

export type TickTockPhase = 'tock' | 'tick' | 'finetune' | 'final';

/** One point of the curves: the network at the end of an epoch of a Tock or of fine-tuning, or after a Tick's cut. */
export interface TickTockPoint {
  readonly phase: TickTockPhase;
  /** Ticks done so far. */
  readonly ticks: number;
  /** Passes over the data so far. */
  readonly passes: number;
  readonly macs: number;
  readonly parameters: number;
  readonly filters: number;
  /** Filters that this Tick removed. */
  readonly removed?: number;
  /** Mean training loss of the epoch. */
  readonly loss: number;
  /** On the test samples, before this Tick's cut. */
  readonly accuracy: number;
  readonly latencyMs?: number;
  /** The network of this point, when a folder for them was given. */
  readonly snapshot?: string;
}

/** Hyper-parameters by name (engine/pruning/tickTockConfig). */
export type TickTockSettings = Readonly<Record<string, number | boolean>>;

export interface TickTockOptions extends DataOptions, PruneBudget {
  readonly output: string;
  /** Settings that differ from the paper's. */
  readonly config?: TickTockSettings;
  readonly locked?: readonly string[];
  /** Noise whenever the network trains. */
  readonly noise?: NoiseOptions;
  readonly roundTo?: RoundTo;
  /** Model file that teaches where the settings have a `teacherWeight`; the model as it was before pruning when left out. */
  readonly teacher?: string;
  /** Folder that takes the network of every point. */
  readonly snapshots?: string;
  /** Files that take the plan, and the weights as safetensors under the names they have. */
  readonly planFile?: string;
  readonly weights?: string;
  readonly resume?: boolean;
  readonly threads?: number;
}

export interface TickTockResult {
  readonly before: Measured;
  readonly after: Measured;
  /** Largest difference of any cut from the masked network, and of the merged network from the gated one. */
  readonly maskedDifference: number;
  readonly history: readonly TickTockPoint[];
  readonly plan: SurgeryPlan;
  /** The run was stopped and this is the network of its last Tick, not tuned further. */
  readonly stopped?: boolean;
}

/** Requests of the pruning topic. */
export interface PruningRequests extends GroupRequests {
  /** Runs the whole schedule; `tickTock/point` notifications tell every Tick. Answers when the model is written. */
  'tickTock/run': { params: { job: string; path: string } & TickTockOptions; result: TickTockResult };
  /** Ends a run within one step and keeps the network of its last complete Tick; `tickTock/run` then answers with it. */
  'tickTock/stop': { params: { job: string }; result: { stopping: boolean } };
  /** Every setting: those of a file, the paper's where it leaves them out; and the paper's as a commented file to start from. */
  'tickTock/settings': { params: { file?: string }; result: { settings: TickTockSettings; text: string } };
}

export interface PruningEvents {
  'tickTock/point': { job: string; point: TickTockPoint };
}

import type { NoiseOptions } from './noise';

/** The one unit of change (DESIGN section 2): a base model and an ordered list of operations, each with its effect. */
export interface SurgeryPlan {
  readonly version: 1;
  readonly base: { readonly path: string; readonly hash: string };
  readonly operations: readonly PlanOperation[];
  /** Layers that were locked while the plan was made: it cuts nothing of their groups from then on. */
  readonly locked?: readonly string[];
}

export type PlanOperation = PruneOperation | DecomposeOperation | NoiseOperation;

export interface OperationEffect {
  readonly parameters: number;
  readonly macs: number;
  readonly lossChange?: number;
}

interface OperationBase {
  readonly id: string;
  /** Off operations stay in the plan and are skipped. */
  readonly enabled: boolean;
  /** Totals after the operation, and the predicted change of the loss. */
  readonly effect?: OperationEffect;
}

/** Keeps the listed channels of each group and removes the others. */
export interface PruneOperation extends OperationBase {
  readonly kind: 'prune';
  readonly criterion: string;
  readonly groups: readonly {
    readonly group: string;
    readonly layers: readonly string[];
    /** Weights of these layers, in their order; in a PyTorch export the names of the state dict. */
    readonly weights?: readonly string[];
    readonly channels: number;
    readonly keep: readonly number[];
    /** False where the group keeps all its channels after all; it stays in the plan to be switched on again. */
    readonly enabled?: boolean;
  }[];
}

export interface DecomposeOperation extends OperationBase {
  readonly kind: 'decompose';
  readonly layer: string;
  readonly blockTerm: {
    readonly inputModes: readonly number[];
    readonly outputModes: readonly number[];
    /** One for every mode. */
    readonly ranks: readonly number[];
    readonly blocks: number;
    /** The same seed gives the same fit: a plan holds no weights. */
    readonly seed: number;
    /** Samples of a forward pass that the contraction order is chosen for. */
    readonly batch: number;
  };
}

/** Noise in every training of the network from here on; the network itself stays as it is. */
export interface NoiseOperation extends OperationBase {
  readonly kind: 'insert-noise';
  readonly noise: NoiseOptions;
}

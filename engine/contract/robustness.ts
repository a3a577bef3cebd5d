import type { SurgeryPlan } from './plan';
import type { DataOptions } from './protocol';

/** 'random' moves as far as the others but without looking at a gradient: what it does is no fault of the gradients. */
export type Attack = 'fgsm' | 'ifgsm' | 'pgd' | 'random';

export type AttackNorm = 'linf' | 'l2';

export interface AttackOptions {
  readonly attacks: readonly Attack[];
  /** Radii of the ball, in units of the data after division by 255 and before mean and deviation. */
  readonly epsilons: readonly number[];
  readonly norm?: AttackNorm;
  /** Steps of ifgsm and pgd. */
  readonly steps?: number;
  /** Length of a step; epsilon / steps of ifgsm and 2.5 epsilon / steps of pgd when left out. */
  readonly stepSize?: number;
  /** Random starts of pgd; a sample counts as correct when it withstands all. */
  readonly restarts?: number;
  readonly seed?: number;
  /** Bytes of a pool that the passes of the network keep within. */
  readonly memoryBudget?: number;
  /** Least and largest value that the data can take, in the units of epsilon; what 8-bit images can hold when left out, no bounds otherwise. */
  readonly range?: readonly [number, number];
}

export interface AttackResult {
  readonly attack: Attack;
  readonly norm: AttackNorm;
  readonly epsilon: number;
  /** Fraction of samples that every start leaves correct, and their mean loss, at the worst start of each sample. */
  readonly accuracy: number;
  readonly loss: number;
}

export interface RobustnessReport {
  readonly count: number;
  /** Without an attack. */
  readonly loss: number;
  readonly accuracy: number;
  readonly attacks: readonly AttackResult[];
  /** Reasons to doubt that the gradients point where they should (Athalye et al. 2018). */
  readonly warnings: readonly string[];
}

export interface RobustnessRequests {
  'model/robustness': {
    params: { job: string; path: string; plan?: SurgeryPlan; batch?: number } & DataOptions & AttackOptions;
    result: RobustnessReport;
  };
}

import type { Criterion, GroupSummary, ImportanceReport } from './models';
import type { DataOptions } from './protocol';
import type { SurgeryPlan } from './plan';

/** Why two layers of a group share their channels. */
export interface GroupLink {
  readonly from: string;
  readonly to: string;
  /** Nodes on the way from the one to the other, the operators that tie their channels. */
  readonly through: readonly { readonly node: string; readonly op: string }[];
  /** A sentence that says it. */
  readonly reason: string;
}

/** Why the channels of a group stay or go together. */
export interface GroupExplanation extends GroupSummary {
  /** Links that connect every layer with the first, directly or through others; none when the group has one layer. */
  readonly links: readonly GroupLink[];
  /** Layers that take the channels in and lose a slice of their weights with each. */
  readonly readers: readonly string[];
}

export interface SensitivityPoint {
  /** Fraction of the group's channels that is cut, the least important first. */
  readonly fraction: number;
  readonly loss: number;
  readonly accuracy: number;
}

/** Loss against the fraction cut of one group while all others stay whole, on a held-out batch. */
export interface SensitivityReport {
  readonly samples: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly criterion: Criterion;
  readonly groups: readonly { readonly id: string; readonly layers: readonly string[]; readonly points: readonly SensitivityPoint[] }[];
}

/** Exact totals along the global order: after `removed[i]` channels are gone, the least important first. */
export interface CostCurve {
  readonly removed: readonly number[];
  readonly macs: readonly number[];
  readonly parameters: readonly number[];
}

export interface CostChange {
  readonly macs: number;
  readonly parameters: number;
}

/** What each enabled prune operation of a plan takes away, and what each group in it takes while the others stay cut. */
export type PlanEffects = readonly (CostChange & {
  readonly operation: string;
  /** Of the network before the operation. */
  readonly whole: CostChange;
  readonly groups: readonly (CostChange & { readonly group: string })[];
})[];

export interface GroupRequests {
  'plan/effects': { params: { path: string; plan: SurgeryPlan }; result: PlanEffects };
  /** Totals at about so many places of the order (64 when left out), for a threshold that moves without asking. */
  'plan/costCurve': {
    params: { path: string; plan?: SurgeryPlan; importance: ImportanceReport; locked?: readonly string[]; points?: number };
    result: CostCurve;
  };
  'model/explain': { params: { path: string; plan?: SurgeryPlan; group: string }; result: GroupExplanation };
  'model/sensitivity': {
    params: {
      job: string;
      path: string;
      plan?: SurgeryPlan;
      criterion: Criterion;
      /** Scores that are known already; computed by the criterion when left out. */
      importance?: ImportanceReport;
      /** Ids of groups; all when left out. */
      groups?: readonly string[];
      /** Fractions that are cut; 0.1 to 0.9 when left out. */
      fractions?: readonly number[];
      /** Held-out samples that are looked at, 100 when left out. */
      samples?: number;
    } & DataOptions;
    result: SensitivityReport;
  };
}

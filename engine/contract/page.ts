import type { Criterion, ImportanceReport, ModelSummary, Totals } from './models';
import type { PlanOperation } from './plan';
import type { PruneBudget } from './protocol';
import type { CostCurve, GroupExplanation, SensitivityReport } from './pruning';

/**
 * What a page of the editor asks its host (`requests`: name to parameters and result) and what the host tells it unasked
 * (`events`: name to parameters). Every page has one such interface in the contract.
 */
export interface PageContract {
  readonly requests: object;
  readonly events: object;
}

export type PageRequest<C extends PageContract, M extends keyof C['requests']> = C['requests'][M] extends {
  params: infer P;
  result: infer R;
}
  ? { readonly params: P; readonly result: R }
  : never;

/** What the model page shows; sent whole whenever something changed. */
export interface ModelState {
  readonly file: string;
  /** The network with the plan applied, and its totals before the plan. */
  readonly summary: ModelSummary;
  readonly original: Totals & { readonly bytes: number };
  readonly operations: readonly PlanOperation[];
  readonly importance?: ImportanceReport;
  readonly sensitivity?: SensitivityReport;
  /** Layers whose groups lose nothing. */
  readonly locked: readonly string[];
  readonly data: string;
  readonly criterion: Criterion;
}

/** Channels kept of each group that loses some. */
export type KeptChannels = readonly { readonly group: string; readonly keep: readonly number[] }[];

/** The model page (webview/model). */
export interface ModelPageContract {
  requests: {
    /** Scores every filter as a job; the scores arrive with the next state. */
    importance: { params: { criterion: Criterion; data: string }; result: 'done' | 'cancelled' };
    /** Exact totals when only these channels stay. */
    preview: { params: { kept: KeptChannels }; result: Totals };
    /** Adds the cut to the plan as one undoable edit. */
    apply: { params: { kept: KeptChannels; criterion: Criterion; lossChange?: number }; result: null };
    cancel: { params: null; result: null };
    /** Totals along the order of the scores; null without scores. */
    costCurve: { params: null; result: CostCurve | null };
    /** Number of channels that go to meet a budget, the least important first. */
    budget: { params: { budget: PruneBudget }; result: number };
    /** Why the layers of a group stay or go together. */
    explain: { params: { group: string }; result: GroupExplanation };
    /** Loss against the fraction cut of every group, on held-out samples; it arrives with the next state. */
    sensitivity: { params: { criterion: Criterion; data: string }; result: 'done' | 'cancelled' };
    /** Locks a group or unlocks it, as an undoable edit of the plan. */
    lock: { params: { group: string; locked: boolean }; result: null };
    /** Opens the Tick-Tock page. */
    tickTock: { params: null; result: null };
    /** Lets a layer take noise while training, or no longer, as an undoable edit of the plan. */
    toggleNoise: { params: { layer: string }; result: null };
    /** Opens the page on block-term ranks at a layer. */
    ranks: { params: { layer: string }; result: null };
  };
  events: {
    state: ModelState;
    progress: { message: string; fraction: number };
    /** Bring a layer into view. */
    reveal: { layer: string };
  };
}

import type { Criterion, ImportanceReport, ModelSummary, Totals } from './models';
import type { PlanOperation } from './plan';

/** What the model page shows; sent whole whenever something changed. */
export interface PageState {
  readonly file: string;
  /** The network with the plan applied, and its totals before the plan. */
  readonly summary: ModelSummary;
  readonly original: Totals & { readonly bytes: number };
  readonly operations: readonly PlanOperation[];
  readonly importance?: ImportanceReport;
  readonly data: string;
  readonly criterion: Criterion;
}

/** Channels kept of each group that loses some. */
export type KeptChannels = readonly { readonly group: string; readonly keep: readonly number[] }[];

export type ToPage =
  | { readonly type: 'state'; readonly state: PageState }
  | { readonly type: 'totals'; readonly request: number; readonly totals: Totals }
  | { readonly type: 'progress'; readonly message: string; readonly fraction: number }
  | { readonly type: 'idle' }
  | { readonly type: 'error'; readonly message: string };

export type FromPage =
  | { readonly type: 'ready' }
  | { readonly type: 'importance'; readonly criterion: Criterion; readonly data: string }
  | { readonly type: 'preview'; readonly request: number; readonly kept: KeptChannels }
  | { readonly type: 'apply'; readonly kept: KeptChannels; readonly criterion: Criterion; readonly lossChange?: number }
  | { readonly type: 'cancel' };

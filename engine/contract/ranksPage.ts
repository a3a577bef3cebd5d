import type { BlockTermChoice, LayerRanks, RankBudget, RankCandidate, ShapeCost } from './decomposition';

/** A layer that a block-term form can stand for. */
export interface RankedLayer {
  readonly layer: string;
  readonly op: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly gates: number;
  readonly parameters: number;
  /** Part of the model's parameters. */
  readonly share: number;
  /** The form that the plan gives it. */
  readonly planned?: BlockTermChoice;
  /** Its relative error, where it was fitted in this session. */
  readonly plannedError?: number;
  /** Candidates, once they were looked for; those of the weight before its own decomposition. */
  readonly ranks?: LayerRanks;
}

/** What the page on block-term ranks shows; sent whole whenever something changed. */
export interface RanksPageState {
  readonly file: string;
  readonly layers: readonly RankedLayer[];
  /** Parameters and MACs now and before the plan. */
  readonly totals: { readonly parameters: number; readonly macs: number };
  readonly original: { readonly parameters: number; readonly macs: number };
  readonly batch: number;
  /** Labelled data that is set for the model; empty when there is none. */
  readonly data: string;
}

/** Forms of all layers under one budget, with what they do to the held-out split. */
export type BudgetForms = Omit<RankBudget, 'plan'>;

/** What all layers together may keep. */
export interface BudgetWish {
  readonly data: string;
  readonly unit: 'params' | 'macs';
  /** Fraction of the model's parameters or MACs, above 0 and below 1. */
  readonly kept: number;
}

interface Chosen {
  readonly layer: string;
  readonly choice: BlockTermChoice;
}

/** The page on block-term ranks (webview/ranks). */
export interface RanksPageContract {
  requests: {
    /** Looks for candidates of one layer, or of all that have none; they arrive with `partial` and `state`. */
    ranks: { params: { layer?: string; batch: number }; result: 'done' | 'cancelled' };
    /** What a shape costs in the layer; a problem tells why it cannot be. */
    cost: { params: Chosen; result: { readonly cost: ShapeCost } | { readonly problem: string } };
    /** Error and time of a shape; null when cancelled. */
    fit: { params: Chosen; result: RankCandidate | null };
    /** Puts the form into the plan as one undoable edit, in place of what the plan has for the layer. */
    apply: { params: Chosen; result: 'done' | 'cancelled' };
    /** Takes the layer's form out of the plan as one undoable edit. */
    remove: { params: { layer: string }; result: null };
    /** Looks for forms of all layers under one budget, in the place of those that the plan has; null when cancelled. */
    budget: { params: BudgetWish; result: BudgetForms | null };
    /** Puts the forms found last into the plan as one undoable edit. */
    applyBudget: { params: null; result: null };
    /** Tunes a copy of the model with data. */
    tune: { params: null; result: null };
    cancel: { params: null; result: null };
  };
  events: {
    state: RanksPageState;
    progress: { message: string; fraction: number };
    /** Candidates found so far. */
    partial: LayerRanks;
    /** Choose a layer. */
    reveal: { layer: string };
  };
}

import type { SurgeryPlan } from './plan';

/** Cost of one block-term shape, without a model. */
export interface ShapeCost {
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly ranks: readonly number[];
  readonly blocks: number;
  readonly batch: number;
  readonly parameters: number;
  readonly denseParameters: number;
  /** Dense parameters by parameters of the block-term form. */
  readonly ratio: number;
  /** Multiply-accumulates of one forward pass of the batch. */
  readonly macs: number;
  readonly denseMacs: number;
  /** Most bytes of intermediate results alive at once. */
  readonly peakBytes: number;
  /** The cheapest order rebuilds the weight matrix and multiplies at once. */
  readonly rebuilds: boolean;
  readonly path: readonly {
    readonly contract: readonly [string, string];
    readonly result: readonly string[];
    readonly shape: readonly number[];
    readonly elements: number;
    readonly macs: number;
  }[];
}

/** How a layer could be written: block-term and what it is compared with. */
export type FormKind = 'block-term' | 'svd' | 'tucker' | 'tensor-train';

export interface RankCandidate {
  readonly form: FormKind;
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly ranks: readonly number[];
  readonly blocks: number;
  /** Frobenius norm of the difference, relative to that of the weight. */
  readonly error: number;
  readonly parameters: number;
  readonly macs: number;
  /** Median milliseconds of one forward pass of the batch. */
  readonly milliseconds: number;
  /** No other candidate has less error, fewer parameters and less time. */
  readonly pareto: boolean;
}

export interface LayerRanks {
  readonly layer: string;
  readonly op: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Gates (and directions) that the outputs hold, 1 elsewhere. */
  readonly gates: number;
  readonly batch: number;
  readonly denseParameters: number;
  readonly denseMacs: number;
  readonly denseMilliseconds: number;
  /** Largest singular values of the weight, and the sum of the squares of all. */
  readonly spectrum: { readonly values: readonly number[]; readonly energy: number };
  /** What the spectrum means for this layer, in one sentence. */
  readonly verdict: string;
  readonly candidates: readonly RankCandidate[];
}

export interface BlockTermChoice {
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly ranks: readonly number[];
  readonly blocks: number;
  readonly seed: number;
}

/** A block-term form chosen for a layer of a model. */
export interface LayerChoice {
  readonly path: string;
  readonly plan?: SurgeryPlan;
  readonly layer: string;
  readonly choice: BlockTermChoice;
  /** Samples of one forward pass, 1 when left out. */
  readonly batch?: number;
}

/** One budget for all layers of a network: the fraction of its parameters, or of its MACs, to keep. */
export interface NetworkBudget {
  readonly params?: number;
  readonly macs?: number;
  readonly seed?: number;
  /** Samples of one forward pass, 1 when left out. */
  readonly batch?: number;
  readonly hiddenToHidden?: boolean;
}

/** Forms for the layers of a network, with the loss expected and the one measured on the held-out split. */
export interface RankBudget {
  readonly plan: SurgeryPlan;
  readonly layers: readonly {
    readonly layer: string;
    readonly choice: BlockTermChoice;
    readonly error: number;
    readonly parameters: number;
    readonly denseParameters: number;
    /** Second-order Taylor estimate. */
    readonly lossChange: number;
  }[];
  readonly lossChange: number;
  readonly before: { readonly parameters: number; readonly macs: number; readonly loss: number; readonly accuracy: number };
  readonly after: { readonly parameters: number; readonly macs: number; readonly loss: number; readonly accuracy: number };
}

/** Where the samples of a rank budget come from. */
interface BudgetData {
  readonly data: string;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly raw?: boolean;
  readonly limit?: number;
}

export interface DecompositionEvents {
  /** Candidates of a layer so far, while `model/ranks` looks for more. */
  'ranks/partial': { job: string; ranks: LayerRanks };
}

export interface DecompositionRequests {
  /** What a shape costs in a layer, without a fit. Fails with 'option-invalid' when the shape does not fit the layer. */
  'ranks/cost': { params: LayerChoice; result: ShapeCost };
  /** Error, cost and measured time of one shape for a layer. */
  'ranks/fit': { params: { job: string } & LayerChoice; result: RankCandidate };
  /** Candidates for a layer (or all layers that can be replaced), best trade-offs marked. */
  'model/ranks': {
    params: { job: string; path: string; plan?: SurgeryPlan; layer?: string; batch?: number; seed?: number };
    result: { layers: readonly LayerRanks[] };
  };
  /** Forms for all layers under one budget, as operations of the plan. */
  'model/rankBudget': {
    params: { job: string; path: string; plan?: SurgeryPlan } & NetworkBudget & BudgetData;
    result: RankBudget;
  };
  /** Writes the weights that a plan leaves as safetensors; names that no module has are told. */
  'plan/weights': {
    params: { job: string; path: string; plan?: SurgeryPlan; output: string };
    result: { tensors: number; madeUp: readonly string[] };
  };
  /** The layers that can be replaced. */
  'model/replaceable': {
    params: { path: string; plan?: SurgeryPlan };
    result: { layers: readonly { layer: string; op: string; inputs: number; outputs: number; gates: number; parameters: number }[] };
  };
  /** Adds a decompose operation, or replaces the one the plan has for this layer: it is fitted to the original weight again. */
  'plan/decompose': {
    params: { job: string } & LayerChoice;
    result: { plan: SurgeryPlan; error: number };
  };
}

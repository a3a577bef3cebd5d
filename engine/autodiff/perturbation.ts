import type { Emitter } from '../ops/opRecord';

/** Independent values that the caller draws anew for each step. */
export interface RandomInput {
  readonly input: string;
  readonly dims: readonly number[];
  readonly distribution: Distribution;
}

export type Distribution =
  /** Zero with probability `ratio`, 1 / (1 - ratio) otherwise. */
  | { readonly kind: 'dropout'; readonly ratio: number }
  /** Mean 0, deviation 1. */
  | { readonly kind: 'normal' }
  /** -1 or 1, each with probability one half. */
  | { readonly kind: 'sign' };

/** A value of the network that training perturbs: the first output of a layer, or the network's input. */
export interface Site {
  readonly layer: string;
  readonly value: string;
}

/** What a perturbation sees of one site while the training graph is built; what it emits is named after the site. */
export interface SiteContext {
  readonly emitter: Emitter;
  readonly site: Site;
  /** The site's value in the pass that is perturbed, [batch, ...]. */
  readonly value: string;
  /** Labels, [batch] int64. */
  readonly labels: string;
  readonly classes: number;
  /** Gradient of the unperturbed pass's mean loss with respect to the site's value; only with `needsCleanGradients`. */
  readonly cleanGradient: string | undefined;
  random(name: string, dims: readonly number[], distribution: Distribution): string;
  /** A float32 tensor that lives from step to step and starts as zeros. */
  state(name: string, dims: readonly number[]): string;
  /** A state that has been made. */
  stateOf(name: string): string;
  /** What the state holds in the next step. */
  setState(name: string, value: string): void;
  /** A scalar that tells the size of the perturbation in this step. */
  report(value: string): void;
}

/** How training perturbs values of the forward pass. Evaluation never does, and the trained network keeps nothing of it. */
export interface Perturbation {
  readonly sites: readonly Site[];
  /** Whether each step first runs the network unperturbed, on the same batch, to the gradients of the sites' values. */
  readonly needsCleanGradients: boolean;
  /** Emits the perturbed value. It is added to the graph as it is: what must not be differentiated must not depend on `value`. */
  perturb(context: SiteContext): string;
  /** Sees the gradient of the loss with respect to the perturbed value. */
  observe?(context: SiteContext, gradient: string): void;
}

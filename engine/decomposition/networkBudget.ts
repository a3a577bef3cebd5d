import { buildTrainingGraph } from '../autodiff/trainingGraph';
import type { BlockTermChoice } from '../contract/decomposition';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { type Tensor } from '../graph/tensor';
import type { Runtime } from '../runtime/runtime';
import { type Batch, lengthsOf } from '../training/evaluate';
import { fitLayer } from './decompose';
import { layerAlone, macsAlone, replacedAlone } from './layerAlone';
import { SURVEY, budgetShapes, storedParameters } from './rankSearch';
import type { ReplaceableLayer } from './replaceable';
import { fittedWeight } from './weightForm';

/** One way to write a layer, with what it costs and what it is expected to do to the loss. */
export interface BudgetCandidate {
  readonly layer: ReplaceableLayer;
  readonly choice: BlockTermChoice;
  /** ||W - fit|| / ||W||. */
  readonly error: number;
  readonly parameters: number;
  readonly macs: number;
  /** Second-order Taylor estimate. */
  readonly lossChange: number;
}

/** What may be kept: at most this many parameters, or multiply-accumulates, of the layers that can be replaced. */
export interface LayerBudget {
  readonly unit: 'parameters' | 'macs';
  readonly most: number;
}

export interface CandidateOptions {
  readonly seed?: number;
  readonly batch?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number, message: string): void;
}

const TARGETS = [1 / 2, 1 / 3, 1 / 5, 1 / 10, 1 / 20];
/** Bytes of the gradients that are kept for one layer. */
const GRADIENT_BYTES = 2 ** 28;

/**
 * Gradients of one weight over batches, [batches][elements]: what the Taylor estimate of every candidate of the layer needs.
 *
 * @throws SurgeryError when the network cannot be differentiated
 */
export async function weightGradients(
  runtime: Runtime,
  graph: Graph,
  weight: string,
  batches: readonly Batch[],
  options: CandidateOptions = {},
): Promise<Float32Array[]> {
  const size = graph.initializers.get(weight)?.data.length ?? 1;
  const used = batches.slice(0, Math.max(2, Math.floor(GRADIENT_BYTES / (4 * size))));
  const training = buildTrainingGraph(graph, { batch: used[0]?.y.dims[0] ?? 1, training: false, parameters: [weight] });
  const program = await runtime.compile(training.graph, { threads: options.threads });
  try {
    const found: Float32Array[] = [];
    for (const { x, y, lengths } of used) {
      const feeds = new Map<string, Tensor>([[training.x, x], [training.y, y], [weight, graph.initializers.get(weight) as Tensor]]); // prettier-ignore
      if (training.lengths) feeds.set(training.lengths.name, lengthsOf(training.lengths, x, lengths));
      const result = await program.run(feeds, { signal: options.signal });
      found.push(Float32Array.from(result.get(training.gradients.get(weight) ?? '')?.data as Float32Array));
    }
    return found;
  } finally {
    program.dispose();
  }
}

/**
 * Change of the mean loss when a weight changes by `delta`: g·delta + delta' F delta / 2, with the gradient g and the empirical
 * Fisher matrix F from batches of `batch` samples (the variance of a batch's gradient is that of a sample by the batch).
 */
export function taylorChange(gradients: readonly Float32Array[], delta: Float32Array, batch: number): number {
  const slopes = gradients.map((g) => g.reduce((sum, v, i) => sum + v * (delta[i] as number), 0));
  const mean = slopes.reduce((a, b) => a + b, 0) / slopes.length;
  const variance = slopes.reduce((sum, s) => sum + (s - mean) ** 2, 0) / Math.max(1, slopes.length - 1);
  return mean + (batch * variance + mean * mean) / 2;
}

/** Candidates of one layer with their Taylor estimates. */
export async function layerCandidates(
  runtime: Runtime,
  graph: Graph,
  layer: ReplaceableLayer,
  batches: readonly Batch[],
  options: CandidateOptions = {},
): Promise<BudgetCandidate[]> {
  const { seed = 1 } = options;
  const gradients = await weightGradients(runtime, graph, layer.weight, batches, options);
  const { data } = graph.initializers.get(layer.weight) as Tensor & { data: Float32Array };
  const alone = layerAlone(graph, layer, options.batch ?? 1);
  const candidates: BudgetCandidate[] = [];
  for (const shape of budgetShapes(alone, layer, TARGETS)) {
    const fit = await fitLayer(runtime, graph, layer, shape, { ...SURVEY, seed, threads: options.threads, signal: options.signal });
    const weight = fittedWeight(layer, shape, fit.blocks);
    const delta = weight.map((v, i) => v - (data[i] as number));
    const parameters = storedParameters(layer, shape);
    const macs = macsAlone(replacedAlone(alone, layer.name, shape));
    const modes =
      layer.kind === 'convolution'
        ? { inputModes: [layer.inputs], outputModes: [layer.outputs], ranks: shape.ranks.slice(0, 2), blocks: shape.blocks }
        : shape;
    const lossChange = taylorChange(gradients, delta, batches[0]?.y.dims[0] ?? 1);
    candidates.push({ layer, choice: { ...modes, seed }, error: fit.error, parameters, macs, lossChange });
  }
  return candidates;
}

/**
 * Greedy choice under one budget: again and again the step, from a layer's present form to a smaller one, that raises the
 * estimated loss least for what it saves.
 *
 * @throws SurgeryError 'budget-impossible' with the least that can be reached
 */
export function chooseForms(
  layers: readonly { readonly dense: Record<LayerBudget['unit'], number>; readonly candidates: readonly BudgetCandidate[] }[],
  { unit, most }: LayerBudget,
): BudgetCandidate[] {
  const chosen = layers.map((): BudgetCandidate | undefined => undefined);
  const costOf = (n: number): number => chosen[n]?.[unit] ?? layers[n]?.dense[unit] ?? 0;
  const total = (): number => layers.reduce((sum, _, n) => sum + costOf(n), 0);
  while (total() > most) {
    let best: { n: number; candidate: BudgetCandidate; price: number } | undefined;
    for (const [n, { candidates }] of layers.entries())
      for (const candidate of candidates) {
        const saved = costOf(n) - candidate[unit];
        if (saved <= 0) continue;
        const price = Math.max(0, candidate.lossChange - (chosen[n]?.lossChange ?? 0)) / saved;
        if (!best || price < best.price || (price === best.price && saved > costOf(best.n) - best.candidate[unit]))
          best = { n, candidate, price };
      }
    if (!best)
      throw new SurgeryError(
        'budget-impossible',
        `Block-term forms leave ${Math.round(total())} ${unit} of the layers that can be replaced; the budget allows ${Math.floor(most)}`,
      );
    chosen[best.n] = best.candidate;
  }
  return chosen.filter((candidate) => candidate !== undefined);
}

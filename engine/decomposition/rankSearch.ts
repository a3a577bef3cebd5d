import type { FormKind, LayerRanks, RankCandidate } from '../contract/decomposition';
import type { Graph } from '../graph/graph';
import { Random } from '../graph/random';
import { elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import type { Runtime } from '../runtime/runtime';
import { fitLayer, padMatrix, shapeFor } from './decompose';
import { emitNetwork } from './emitNetwork';
import { foldMatrix } from './fold';
import { type BlockTermShape, blockTermCost, tensorTrainNetwork } from './layerForms';
import { proposeModes } from './modes';
import { type LayerAlone, layerAlone, macsAlone, projectedAlone, replacedAlone, timeAlone } from './layerAlone';
import { fastestPath } from './productPlan';
import { Products, squaredNorm } from './products';
import { type ReplaceableLayer, rowsOf, weightMatrix } from './replaceable';
import { leadingRows } from './subspace';
import { DATA, type TensorNetwork, parameterCount, sizesOf, weightsOf } from './tensorNetwork';
import { tensorTrainError } from './tensorTrain';

export interface RankSearchOptions {
  readonly batch?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number, message: string): void;
  /** What is known so far, after every candidate; the verdict comes with the last. */
  readonly onPartial?: (ranks: LayerRanks) => void;
}

/** Fractions of the dense parameters that candidates are made for. */
const TARGETS = [1 / 2, 1 / 4, 1 / 10, 1 / 30, 1 / 100];
const DEPTHS = [2, 3, 4];
const BLOCKS = [1, 2, 4];
const SPECTRUM = 48;
/** Elements from which only few candidates are fitted. */
const LARGE = 4_000_000;
/** Effort of a fit whose error only has to place it on the curve. */
export const SURVEY = { starts: 1, sweeps: 20 };
/** Elements of all cores at most. */
const LARGEST_CORE = 8_000;

/** Block-term shapes for a layer: for every depth and number of blocks the largest rank that keeps each target. */
export function proposeShapes(layer: ReplaceableLayer, targets: readonly number[] = TARGETS): BlockTermShape[] {
  if (layer.kind === 'convolution') return proposeConvolutions(layer, targets);
  const few = layer.inputs * layer.outputs > LARGE;
  const found = new Map<string, BlockTermShape>();
  for (const target of targets)
    for (const depth of few ? DEPTHS.slice(1) : DEPTHS)
      for (const blocks of depth === 2 ? [1] : few ? BLOCKS.slice(0, 2) : BLOCKS) {
        const { inputModes, outputModes } = proposeModes(layer, depth);
        const rank = largestRank(inputModes, outputModes, blocks, target * layer.inputs * layer.outputs);
        if (rank === 0) continue;
        const shape = { inputModes, outputModes, ranks: inputModes.map((m, k) => Math.min(rank, m * (outputModes[k] ?? 1))), blocks };
        if (blockTermCost(shape).parameters < layer.inputs * layer.outputs) found.set(JSON.stringify(shape), shape);
      }
  return [...found.values()];
}

function proposeConvolutions(layer: ReplaceableLayer, targets: readonly number[]): BlockTermShape[] {
  const { inputs, outputs, window } = layer;
  const found = new Map<string, BlockTermShape>();
  for (const target of targets)
    for (const blocks of BLOCKS) {
      const budget = target * inputs * outputs * window;
      let ranks: number[] = [];
      for (let part = 1; part <= Math.max(inputs, outputs); part++) {
        const [r, q] = [Math.ceil((part * inputs) / Math.max(inputs, outputs)), Math.ceil((part * outputs) / Math.max(inputs, outputs))];
        if (blocks * (r * inputs + q * outputs + r * q * window) > budget) break;
        ranks = [r, q];
      }
      if (ranks.length === 0) continue;
      const shape = shapeFor(layer, { inputModes: [inputs], outputModes: [outputs], ranks, blocks });
      found.set(JSON.stringify(shape), shape);
    }
  return [...found.values()];
}

function largestRank(inputModes: readonly number[], outputModes: readonly number[], blocks: number, budget: number): number {
  let rank = 0;
  for (;;) {
    const ranks = inputModes.map(() => rank + 1);
    const { parameters } = blockTermCost({ inputModes, outputModes, ranks, blocks });
    if (parameters > budget || blocks * elementCount(ranks) > LARGEST_CORE) return rank;
    rank++;
  }
}

/**
 * Shapes for a budget: those proposed that take no more multiply-accumulates than the dense layer, and the low-rank ones, which
 * never do: one block over the modes (1, outputs) and (inputs, 1).
 */
export function budgetShapes(alone: LayerAlone, layer: ReplaceableLayer, targets: readonly number[]): BlockTermShape[] {
  const { inputs, outputs } = layer;
  const most = macsAlone(alone);
  const found = proposeShapes(layer, targets).filter((shape) => macsAlone(replacedAlone(alone, layer.name, shape)) <= most);
  if (layer.kind === 'convolution') return found;
  const lowRank = targets.flatMap((target) => {
    const rank = Math.min(largestLowRank(layer, target), inputs, outputs);
    return rank > 0 ? [lowRankShape(layer, rank)] : [];
  });
  return [...found, ...lowRank];
}

/** A truncated SVD as one block, over the modes (1, outputs) and (inputs, 1). */
const lowRankShape = ({ inputs, outputs }: ReplaceableLayer, rank: number): BlockTermShape => ({
  inputModes: [1, inputs],
  outputModes: [outputs, 1],
  ranks: [rank, rank],
  blocks: 1,
});

const largestLowRank = ({ inputs, outputs }: ReplaceableLayer, target: number): number =>
  largestRank([1, inputs], [outputs, 1], 1, target * inputs * outputs);

/** Parameters of a shape as it is written into the model. */
export function storedParameters(layer: ReplaceableLayer, shape: BlockTermShape): number {
  if (layer.kind !== 'convolution') return blockTermCost(shape).parameters;
  const [r = 1, q = 1] = shape.ranks;
  return shape.blocks * (r * layer.inputs + q * layer.outputs + r * q * layer.window);
}

/** Error, parameters, multiply-accumulates and measured time of candidates for one layer, with the best trade-offs marked. */
export async function rankLayer(
  runtime: Runtime,
  graph: Graph,
  layer: ReplaceableLayer,
  options: RankSearchOptions = {},
): Promise<LayerRanks> {
  const { batch = 1 } = options;
  const products = new Products(runtime, options);
  try {
    const shapes = proposeShapes(layer);
    const survey = new Survey(runtime, graph, layer, options);
    const { spectrum, baselines } = await compare(products, shapes, survey, new Random(options.seed ?? 1, 23));
    const { node, name, inputs, outputs, gates, window } = layer;
    const denseParameters = inputs * outputs * window;
    const common = { layer: name, op: node.op, inputs, outputs, gates, batch, spectrum, denseParameters };
    const { macs: denseMacs, milliseconds: denseMilliseconds } = await survey.dense();
    const dense = { denseMacs, denseMilliseconds };
    const candidates = [...baselines];
    for (const [i, shape] of shapes.entries()) {
      options.onPartial?.({ ...common, ...dense, verdict: '', candidates: markPareto(candidates) });
      options.onProgress?.(i, shapes.length, `${name}: rank ${shape.ranks.join(',')}, ${shape.blocks} blocks`);
      candidates.push(await survey.fitted(shape));
    }
    options.onProgress?.(shapes.length, shapes.length, name);
    const all = markPareto(candidates);
    return { ...common, ...dense, verdict: verdictOf(all, denseParameters), candidates: all };
  } finally {
    await products.dispose();
  }
}

/** Error, parameters, multiply-accumulates and measured time of one shape for a layer. */
export function rankShape(
  runtime: Runtime,
  graph: Graph,
  layer: ReplaceableLayer,
  shape: BlockTermShape,
  options: RankSearchOptions = {},
): Promise<Omit<RankCandidate, 'pareto'>> {
  return new Survey(runtime, graph, layer, options).fitted(shape);
}

/** Cost and time of the forms of one layer, by itself. */
class Survey {
  readonly rows: number;
  private readonly alone: LayerAlone;
  /** What is left of the layer when its input is projected by a form that no plan can write. */
  private rest: Promise<{ macs: number; milliseconds: number }> | undefined;

  constructor(
    private readonly runtime: Runtime,
    readonly graph: Graph,
    readonly layer: ReplaceableLayer,
    private readonly options: RankSearchOptions,
  ) {
    const { batch = 1 } = options;
    this.rows = Math.max(1, batch * rowsOf(graph, layer));
    this.alone = layerAlone(graph, layer, batch);
  }

  dense(): Promise<{ macs: number; milliseconds: number }> {
    return this.measured(this.alone);
  }

  async fitted(shape: BlockTermShape): Promise<Omit<RankCandidate, 'pareto'>> {
    const { graph, layer, runtime } = this;
    const options = { ...SURVEY, seed: this.options.seed, signal: this.options.signal, threads: this.options.threads };
    const { error } = await fitLayer(runtime, graph, layer, shape, options);
    const form: FormKind = shape.blocks === 1 ? 'tucker' : 'block-term';
    return { form, ...shape, error, parameters: storedParameters(layer, shape), ...(await this.replaced(shape)) };
  }

  /** With the form in the weight's place. */
  replaced(shape: BlockTermShape): Promise<{ macs: number; milliseconds: number }> {
    return this.measured(replacedAlone(this.alone, this.layer.name, shape));
  }

  /** With the weight's product made by a network, and the rest of the layer after it. */
  async projected(network: TensorNetwork): Promise<{ parameters: number; macs: number; milliseconds: number }> {
    const path = fastestPath(network, 'inference');
    const rest = this.layer.kind === 'recurrent' ? await (this.rest ??= this.measured(projectedAlone(this.alone, this.layer.name))) : { macs: 0, milliseconds: 0 }; // prettier-ignore
    const builder = new GraphBuilder('layer');
    const dims = sizesOf(network, network.tensors.find((t) => t.name === DATA)?.indices ?? []);
    const values = new Map([[DATA, builder.input('x', dims)]]);
    for (const { name, indices } of weightsOf(network)) {
      const shape = sizesOf(network, indices);
      values.set(name, builder.initializer(name, float32(shape, new Float32Array(elementCount(shape)).fill(0.01))));
    }
    builder.output(emitNetwork(builder, network, path.tree, values, 'layer'), 'y');
    const milliseconds = await timeAlone(this.runtime, { graph: builder.graph, x: dims }, this.options);
    return { parameters: parameterCount(network), macs: path.macs + rest.macs, milliseconds: milliseconds + rest.milliseconds };
  }

  private async measured(alone: LayerAlone): Promise<{ macs: number; milliseconds: number }> {
    return { macs: macsAlone(alone), milliseconds: await timeAlone(this.runtime, alone, this.options) };
  }
}

/** Singular values, and truncated SVD and tensor train at the sizes of the block-term candidates. */
async function compare(
  products: Products,
  shapes: readonly BlockTermShape[],
  survey: Survey,
  random: Random,
): Promise<{ spectrum: LayerRanks['spectrum']; baselines: Omit<RankCandidate, 'pareto'>[] }> {
  const { graph, layer } = survey;
  const { inputs, outputs, window } = layer;
  const matrix = layer.kind === 'convolution' ? (graph.initializers.get(layer.weight)?.data as Float32Array) : weightMatrix(graph, layer);
  const [rows, columns] = layer.kind === 'convolution' ? [outputs, inputs * window] : [inputs, outputs];
  const energy = squaredNorm(matrix);
  const { energies } = await leadingRows(products, matrix, columns, Math.min(SPECTRUM, rows, columns), random);
  const spectrum = { values: energies.map(Math.sqrt), energy };
  if (layer.kind === 'convolution') return { spectrum, baselines: [] };
  const baselines: Omit<RankCandidate, 'pareto'>[] = [];
  for (const rank of new Set(TARGETS.map((target) => largestLowRank(layer, target)))) {
    if (rank < 1 || rank > energies.length) continue;
    const kept = energies.slice(0, rank).reduce((a, b) => a + b, 0);
    const error = Math.sqrt(Math.max(0, 1 - kept / energy));
    const written = lowRankShape(layer, rank);
    const cost = { parameters: storedParameters(layer, written), ...(await survey.replaced(written)) };
    baselines.push({ form: 'svd', inputModes: [inputs], outputModes: [outputs], ranks: [rank], blocks: 1, error, ...cost });
  }
  const deepest = shapes.reduce<BlockTermShape | undefined>((a, b) => (!a || b.inputModes.length > a.inputModes.length ? b : a), undefined);
  if (!deepest) return { spectrum, baselines };
  const { inputModes, outputModes } = deepest;
  const folded = {
    dims: inputModes.map((m, k) => m * (outputModes[k] ?? 1)),
    data: foldMatrix(padMatrix(matrix, layer, deepest), inputModes, outputModes),
  };
  for (const rank of [2, 4, 8, 16]) {
    const { ranks, error } = await tensorTrainError(products, folded, rank, random);
    const cost = await survey.projected(tensorTrainNetwork(inputModes, outputModes, ranks, survey.rows));
    if (cost.parameters < inputs * outputs)
      baselines.push({ form: 'tensor-train', inputModes, outputModes, ranks, blocks: 1, error, ...cost });
  }
  return { spectrum, baselines };
}

/** Times closer than this fraction count as equal. */
const SAME_TIME = 0.1;

function markPareto(candidates: readonly Omit<RankCandidate, 'pareto'>[]): RankCandidate[] {
  const dominates = (a: Omit<RankCandidate, 'pareto'>, b: Omit<RankCandidate, 'pareto'>): boolean =>
    a !== b &&
    a.error <= b.error &&
    a.parameters <= b.parameters &&
    a.milliseconds <= b.milliseconds * (1 + SAME_TIME) &&
    (a.error < b.error || a.parameters < b.parameters || a.milliseconds < b.milliseconds);
  return candidates
    .map((c) => ({ ...c, pareto: !candidates.some((other) => dominates(other, c)) }))
    .sort((a, b) => a.parameters - b.parameters || a.error - b.error);
}

/** One honest sentence on what this layer gives away. */
function verdictOf(candidates: readonly RankCandidate[], denseParameters: number): string {
  const quarter = candidates.filter((c) => c.parameters <= denseParameters / 4);
  if (quarter.length === 0) return 'This layer is too small to be written with 4 times fewer parameters.';
  const energy = 1 - Math.min(...quarter.map((c) => c.error)) ** 2;
  const kept = `at 4 times fewer parameters it keeps ${Math.round(100 * energy)} % of its energy`;
  if (energy < 0.6) return `This matrix has a flat spectrum: ${kept}; train in this form instead.`;
  if (energy < 0.95) return `This matrix compresses in part: ${kept}; tune the network after replacing it.`;
  return `This matrix compresses well: ${kept}.`;
}

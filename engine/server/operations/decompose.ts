import path from 'node:path';
import type { BlockTermChoice, LayerChoice, LayerRanks, RankCandidate, ShapeCost } from '../../contract/decomposition';
import type { Measured } from '../../contract/models';
import type { DecomposeOperation, SurgeryPlan } from '../../contract/plan';
import type { Calibration } from '../../decomposition/calibrate';
import { type Decomposed, decomposeLayer, fitLayer, shapeFor } from '../../decomposition/decompose';
import { layerAlone, macsAlone, replacedAlone } from '../../decomposition/layerAlone';
import { findReplaceable, replaceableLayer, rowsOf } from '../../decomposition/replaceable';
import { SURVEY, budgetShapes, rankLayer, rankShape, storedParameters } from '../../decomposition/rankSearch';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { findChannelGroups } from '../../pruning/channelGroups';
import { outputDifference } from '../../pruning/maskedDifference';
import { SelectionCost } from '../../pruning/selectionCost';
import { emptyPlan, withOperation, writePlan } from '../../surgery/plan';
import type { DataFlags } from './data';
import { costOfShape } from './shapeCost';
import { loadModel } from './loadModel';
import { measureNetworks } from './measure';
import type { OperationContext } from './operation';
import { refineLayer } from './refineLayer';
import { runtime } from './runtime';
import { exportWeights } from './stateDict';

export interface DecomposeFlags extends Partial<DataFlags> {
  readonly layer: string;
  readonly inputModes?: readonly number[];
  readonly outputModes?: readonly number[];
  readonly rank?: readonly number[];
  readonly blocks?: number;
  /** Fraction of the layer's parameters to keep; the modes are then chosen. */
  readonly params?: number;
  readonly seed?: number;
  readonly batch?: number;
  readonly threads?: number;
  /** Training samples of `data` on which the layer's outputs are matched afterwards. */
  readonly calibrate?: number;
  readonly output: string;
  /** Where the weights go under their names, as safetensors. */
  readonly weights?: string;
  readonly planOnly?: boolean;
}

export interface DecomposeResult {
  readonly layer: string;
  readonly choice: BlockTermChoice;
  /** ||W - fit|| / ||W||. */
  readonly error: number;
  /** Largest difference of the outputs on random input, relative to the largest output: what the error of the weight does. */
  readonly outputDifference: number;
  readonly calibration?: Calibration;
  readonly before: Measured;
  readonly after: Measured;
  readonly plan: SurgeryPlan;
}

const fitProgress = (context: OperationContext) => ({
  signal: context.signal,
  onProgress: (done: number, total: number, message: string) => context.progress?.(done, total, 'sweeps', message),
});

/** Fits, replaces, measures and writes the model (or the plan). */
export async function decomposeModel(file: string, flags: DecomposeFlags, context: OperationContext = {}): Promise<DecomposeResult> {
  const model = await loadModel(file);
  const choice = await chooseForm(model.graph, flags, context);
  const decomposed = await decomposeLayer(
    runtime(),
    model.graph,
    flags.layer,
    { ...choice, batch: flags.batch },
    { ...fitProgress(context), seed: choice.seed, threads: flags.threads },
  );
  const { layer, error } = decomposed;
  const { graph, calibration } = await refined(model.graph, decomposed, flags, context);
  const [before, after] = await measureNetworks([model.graph, graph], { threads: flags.threads }, context);
  const operation = decomposeOperation('decompose-1', layer.name, choice, flags.batch ?? 1, after);
  const plan = withOperation(emptyPlan(path.resolve(file), model.hash), operation);
  const difference = await outputDifference(runtime(), graph, model.graph);
  if (flags.planOnly) await writePlan(plan, flags.output);
  else await writeOnnx(graph, flags.output);
  if (flags.weights) exportWeights(flags.weights, graph, new Map(), context);
  return {
    layer: layer.name,
    choice,
    error,
    outputDifference: difference,
    ...(calibration ? { calibration } : {}),
    before: before as Measured,
    after: after as Measured,
    plan,
  };
}

async function refined(
  original: Graph,
  decomposed: Decomposed,
  flags: DecomposeFlags,
  context: OperationContext,
): Promise<{ graph: Graph; calibration?: Calibration }> {
  const { data, calibrate: samples, batch = 1, seed = 1 } = flags;
  if (samples === undefined) return decomposed;
  if (data === undefined) throw new SurgeryError('option-invalid', '--calibrate needs --data');
  if (flags.planOnly)
    throw new SurgeryError('option-invalid', 'A plan holds no weights, so that --plan-only and --calibrate do not go together');
  return refineLayer(original, decomposed, { ...flags, data, samples, batch, seed }, context);
}

export function decomposeOperation(
  id: string,
  layer: string,
  choice: BlockTermChoice,
  batch: number,
  effect?: { parameters: number; macs: number },
): DecomposeOperation {
  const totals = effect ? { effect: { parameters: effect.parameters, macs: effect.macs } } : {};
  return { kind: 'decompose', id, enabled: true, layer, blockTerm: { ...choice, batch }, ...totals };
}

/** What the options say, or the form of least error that keeps the fraction of the parameters asked for. */
async function chooseForm(graph: Graph, flags: DecomposeFlags, context: OperationContext): Promise<BlockTermChoice> {
  const { inputModes, outputModes, rank, blocks = 1, params, seed = 1 } = flags;
  const layer = replaceableLayer(graph, flags.layer);
  if (params === undefined) {
    const conv = layer.kind === 'convolution';
    const modes = {
      inputModes: inputModes ?? (conv ? [layer.inputs] : undefined),
      outputModes: outputModes ?? (conv ? [layer.outputs] : undefined),
    };
    if (!modes.inputModes || !modes.outputModes || !rank)
      throw new SurgeryError(
        'option-invalid',
        'decompose needs --input-modes, --output-modes and --rank, or --params with the fraction to keep',
      );
    shapeFor(layer, { inputModes: modes.inputModes, outputModes: modes.outputModes, ranks: rank, blocks });
    return { inputModes: modes.inputModes, outputModes: modes.outputModes, ranks: rank, blocks, seed };
  }
  let best: { choice: BlockTermChoice; error: number } | undefined;
  const limit = params * layer.inputs * layer.outputs * layer.window;
  const alone = layerAlone(graph, layer, flags.batch ?? 1);
  for (const shape of budgetShapes(alone, layer, [params]).filter((s) => storedParameters(layer, s) <= limit)) {
    const { error } = await fitLayer(runtime(), graph, layer, shape, { ...fitProgress(context), seed, ...SURVEY });
    const convolution = layer.kind === 'convolution';
    const choice = convolution
      ? { inputModes: [layer.inputs], outputModes: [layer.outputs], ranks: shape.ranks.slice(0, 2), blocks: shape.blocks, seed }
      : { ...shape, seed };
    if (!best || error < best.error) best = { choice, error };
  }
  if (!best)
    throw new SurgeryError('budget-impossible', `Layer ${layer.name} has no block-term form with ${Math.floor(limit)} parameters or fewer`);
  return best.choice;
}

/** Candidates for one layer, or for all that can be replaced. */
export async function rankModel(
  file: string,
  options: { plan?: SurgeryPlan; layer?: string; batch?: number; seed?: number; threads?: number },
  context: OperationContext & { readonly onPartial?: (ranks: LayerRanks) => void } = {},
): Promise<{ layers: LayerRanks[] }> {
  const { graph } = await loadModel(file, options.plan);
  const chosen = options.layer === undefined ? findReplaceable(graph) : [replaceableLayer(graph, options.layer)];
  const layers: LayerRanks[] = [];
  for (const [i, layer] of chosen.entries())
    layers.push(
      await rankLayer(runtime(), graph, layer, {
        ...options,
        signal: context.signal,
        onPartial: context.onPartial,
        onProgress: (done, total, message) =>
          context.progress?.(i * 100 + Math.round((100 * done) / Math.max(1, total)), 100 * chosen.length, 'candidates', message),
      }),
    );
  return { layers };
}

/** What a shape costs in a layer: the layer's own rows, and a convolution's three products for each position. */
export async function costOfChoice({ path: file, plan, layer: name, choice, batch = 1 }: LayerChoice): Promise<ShapeCost> {
  const { graph } = await loadModel(file, plan);
  const layer = replaceableLayer(graph, name);
  const shape = shapeFor(layer, choice);
  const rows = Math.max(1, batch * rowsOf(graph, layer));
  const { inputs, outputs, window } = layer;
  const denseParameters = inputs * outputs * window;
  const parameters = storedParameters(layer, shape);
  const cost = costOfShape({ ...shape, rank: shape.ranks, batch: rows });
  const alone = layerAlone(graph, layer, batch);
  const own = {
    batch,
    parameters,
    denseParameters,
    ratio: denseParameters / parameters,
    denseMacs: macsAlone(alone),
    macs: macsAlone(replacedAlone(alone, name, shape)),
  };
  if (layer.kind !== 'convolution') return { ...cost, ...own };
  return { ...cost, ...own, rebuilds: false, peakBytes: 0, path: [] };
}

/** One candidate more, for a shape of the person's own. */
export async function fitChoice(
  { path: file, plan, layer: name, choice, batch }: LayerChoice,
  context: OperationContext = {},
): Promise<RankCandidate> {
  const { graph } = await loadModel(file, plan);
  const layer = replaceableLayer(graph, name);
  const options = { batch, seed: choice.seed, signal: context.signal };
  return { ...(await rankShape(runtime(), graph, layer, shapeFor(layer, choice), options)), pareto: false };
}

export async function listReplaceable(file: string, plan?: SurgeryPlan) {
  const { graph } = await loadModel(file, plan);
  return {
    layers: findReplaceable(graph).map(({ node, name, inputs, outputs, gates, window }) => ({
      layer: name,
      op: node.op,
      inputs,
      outputs,
      gates,
      parameters: inputs * outputs * window,
    })),
  };
}

/** Adds a decomposition to a plan, or puts it in place of the one that the plan has for the layer, and fits it once. */
export async function planDecompose(
  file: string,
  plan: SurgeryPlan | undefined,
  layer: string,
  choice: BlockTermChoice,
  context: OperationContext = {},
  batch = 1,
): Promise<{ plan: SurgeryPlan; error: number }> {
  const base = plan ?? emptyPlan(path.resolve(file), (await loadModel(file)).hash);
  const at = base.operations.findIndex((o) => o.kind === 'decompose' && o.layer === layer);
  const before = { ...base, operations: at < 0 ? base.operations : base.operations.slice(0, at) };
  const { graph } = await loadModel(file, before);
  const options = { ...fitProgress(context), seed: choice.seed };
  const decomposed = await decomposeLayer(runtime(), graph, layer, { ...choice, batch }, options);
  const effect = new SelectionCost(findChannelGroups(decomposed.graph)).of();
  const id = base.operations[at]?.id ?? `decompose-${base.operations.length + 1}`;
  const operation = decomposeOperation(id, decomposed.layer.name, choice, batch, effect);
  const operations = at < 0 ? [...base.operations, operation] : base.operations.map((o, i) => (i === at ? operation : o));
  return { plan: { ...base, operations }, error: decomposed.error };
}

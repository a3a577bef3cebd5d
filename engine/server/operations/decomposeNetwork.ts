import path from 'node:path';
import type { NetworkBudget, RankBudget } from '../../contract/decomposition';
import type { SurgeryPlan } from '../../contract/plan';
import { decomposeLayer } from '../../decomposition/decompose';
import { chooseForms, layerCandidates } from '../../decomposition/networkBudget';
import { layerAlone, macsAlone } from '../../decomposition/layerAlone';
import { findReplaceable } from '../../decomposition/replaceable';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { findChannelGroups } from '../../pruning/channelGroups';
import { SelectionCost } from '../../pruning/selectionCost';
import { emptyPlan, withOperation } from '../../surgery/plan';
import type { Batch } from '../../training/evaluate';
import { evaluate } from '../../training/evaluate';
import { type DataFlags, evaluationBatchOf, openData, scoringBatches, testBatches } from './data';
import { decomposeOperation } from './decompose';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

const BATCHES = 8;
const BATCH = 32;

/**
 * Block-term forms for all layers under one budget: Taylor estimates of the loss on training batches choose, the held-out split
 * verifies.
 */
export async function budgetNetwork(
  file: string,
  flags: NetworkBudget & DataFlags & { plan?: SurgeryPlan; threads?: number },
  context: OperationContext = {},
): Promise<RankBudget & { graph: Graph }> {
  const model = await loadModel(file, flags.plan);
  const { seed = 1, batch = 1, threads } = flags;
  const layers = findReplaceable(model.graph, flags);
  if (layers.length === 0) throw new SurgeryError('option-invalid', `${file} has no layer that can be decomposed`);
  const data = await openData(flags);
  const batches = await firstBatches(scoringBatches(data, flags, Math.min(BATCH, data.train.count), seed));
  const options = { seed, batch, threads, signal: context.signal };
  const offers = [];
  for (const [n, layer] of layers.entries()) {
    context.progress?.(n, layers.length, 'layers', layer.name);
    const parameters = layer.inputs * layer.outputs * layer.window;
    const dense = { parameters, macs: macsAlone(layerAlone(model.graph, layer, batch)) };
    offers.push({ dense, candidates: await layerCandidates(runtime(), model.graph, layer, batches, options) });
  }
  const totals = new SelectionCost(findChannelGroups(model.graph)).of();
  const unit = flags.params === undefined ? 'macs' : 'parameters';
  const replaceable = offers.reduce((sum, { dense }) => sum + dense[unit], 0);
  const scale = unit === 'macs' ? batch : 1;
  const fixed = scale * totals[unit] - replaceable;
  const most = (flags.params ?? flags.macs ?? 1) * scale * totals[unit] - fixed;
  if (most <= 0)
    throw new SurgeryError(
      'budget-impossible',
      `${Math.round(fixed / scale)} of ${totals[unit]} ${unit} are in layers that cannot be decomposed`,
    );
  const chosen = chooseForms(offers, { unit, most });
  let graph = model.graph;
  let plan = flags.plan ?? emptyPlan(path.resolve(file), model.hash);
  for (const { layer, choice } of chosen) {
    context.log?.(`${layer.name}: rank ${choice.ranks.join(',')}, ${choice.blocks} blocks`);
    graph = (await decomposeLayer(runtime(), graph, layer.name, { ...choice, batch }, { ...options, seed: choice.seed })).graph;
    const effect = new SelectionCost(findChannelGroups(graph)).of();
    plan = withOperation(plan, decomposeOperation(`decompose-${plan.operations.length + 1}`, layer.name, choice, batch, effect)); // prettier-ignore
  }
  return {
    graph,
    plan,
    layers: chosen.map(({ layer, choice, error, parameters, lossChange }) => ({
      layer: layer.name,
      choice,
      error,
      parameters,
      denseParameters: layer.inputs * layer.outputs * layer.window,
      lossChange,
    })),
    lossChange: chosen.reduce((sum, { lossChange }) => sum + lossChange, 0),
    before: { ...totals, ...(await heldOut(model.graph)) },
    after: { ...new SelectionCost(findChannelGroups(graph)).of(), ...(await heldOut(graph)) },
  };

  async function heldOut(network: Graph): Promise<{ loss: number; accuracy: number }> {
    const { batches: test } = testBatches(data, flags, evaluationBatchOf(data));
    const { loss, accuracy } = await evaluate(runtime(), network, test, { threads, signal: context.signal });
    return { loss, accuracy };
  }
}

async function firstBatches(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const found: Batch[] = [];
  for await (const { x, y, lengths } of batches) {
    found.push({ x: copyOf(x), y: copyOf(y), ...(lengths ? { lengths: copyOf(lengths) } : {}) });
    if (found.length === BATCHES) break;
  }
  return found;
}

const copyOf = <T extends Batch['x']>(tensor: T): T => ({ ...tensor, data: tensor.data.slice() });

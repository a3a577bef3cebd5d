import path from 'node:path';
import type { ImportanceReport, Measured } from '../../contract/models';
import type { SurgeryPlan } from '../../contract/plan';
import type { PruneBudget, PruneLimits } from '../../contract/protocol';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { SurgeryError } from '../../graph/errors';
import { type ChannelGroup, type PrunableNetwork, findChannelGroups } from '../../pruning/channelGroups';
import type { GroupScores } from '../../pruning/importance';
import { keptIndices } from '../../pruning/keptIndices';
import { maskedDifference } from '../../pruning/maskedDifference';
import { channelCosts, scoresPerCost, selectToBudget, selectToLatency } from '../../pruning/ranking';
import type { Selection } from '../../pruning/selection';
import { SelectionCost } from '../../pruning/selectionCost';
import { sliceNetwork } from '../../pruning/slice';
import { emptyPlan, pruneOperation, withOperation, writePlan } from '../../surgery/plan';
import { type ImportanceFlags, scoreNetwork } from './importance';
import { loadModel } from './loadModel';
import { measureChange, measureLatencies } from './measure';
import type { OperationContext } from './operation';
import { resolveRoundTo, withRounding } from './roundTo';
import { runtime } from './runtime';
import { exportWeights } from './stateDict';

export interface PruneFlags extends ImportanceFlags, PruneBudget, PruneLimits {
  readonly output: string;
  readonly planOnly?: boolean;
  /** File that takes the plan beside the model. */
  readonly planFile?: string;
  /** File that takes the weights as safetensors under the names they have. */
  readonly weights?: string;
}

export interface PruneResult {
  readonly before: Measured;
  readonly after: Measured;
  /** Largest difference of the outputs of pruned and masked network on random input, relative to the largest output. */
  readonly maskedDifference: number;
  readonly plan: SurgeryPlan;
}

/** Scores, selects, removes, checks against the masked network and measures. */
export async function pruneModel(file: string, options: PruneFlags, context: OperationContext = {}): Promise<PruneResult> {
  const model = await loadModel(file);
  const network = findChannelGroups(model.graph);
  const cost = new SelectionCost(network);
  const { groups } = await scoreNetwork(network, options, context);
  const selection = await selectRounded(network, groups, options, cost, context);
  const pruned = sliceNetwork(network, selection);
  const difference = await maskedDifference(runtime(), network, pruned, selection);
  const measured = await measureChange(model.graph, pruned, options, context);
  const operation = pruneOperation(network, selection, options.criterion, 'prune-1', predictedEffect(cost, selection, groups));
  const plan = withOperation(emptyPlan(path.resolve(file), model.hash), operation);
  if (options.planOnly) await writePlan(plan, options.output);
  else await writeOnnx(pruned, options.output);
  if (options.planFile) await writePlan(plan, options.planFile);
  if (options.weights) exportWeights(options.weights, pruned, keptIndices([{ network, selection }]), context);
  return { ...measured, maskedDifference: difference, plan };
}

async function select(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  options: SelectFlags & { readonly roundTo?: number },
  cost: SelectionCost,
): Promise<Selection> {
  const { roundTo, minimumKept, maximumKept, latency, threads, perCost } = options;
  const limits = { roundTo, floor: minimumKept, maximum: maximumKept, locked: lockedGroups(network.groups, options.locked ?? []) };
  const ranked = perCost ? scoresPerCost(scores, channelCosts(network, cost, options)) : scores;
  if (latency === undefined) return selectToBudget(network, ranked, options, cost, limits);
  const latencyOf = async (selection: Selection): Promise<number> =>
    (await measureLatencies([sliceNetwork(network, selection)], threads))[0]?.median ?? NaN;
  return selectToLatency(network, ranked, latency, latencyOf, limits);
}

/** Groups that names of groups or of their layers stand for. */
export function lockedGroups(groups: readonly ChannelGroup[], names: readonly string[]): Set<string> {
  return new Set(
    names.map((name) => {
      const found = groups.find((g) => g.id === name || g.layers.includes(name));
      if (!found) throw new SurgeryError('option-invalid', `--lock ${name}: the network has no prunable group or layer of that name`);
      return found.id;
    }),
  );
}

/** Cost after the cut, and the first-order change of the loss where the scores tell it. */
function predictedEffect(
  cost: SelectionCost,
  selection: Selection,
  scores: readonly GroupScores[],
): { parameters: number; macs: number; lossChange?: number } {
  const { parameters, macs } = cost.of(selection);
  if (!scores.every((s) => s.lossChange)) return { parameters, macs };
  const lossChange = scores.reduce((sum, { group, lossChange: changes = [] }) => {
    const keep = selection.get(group);
    return keep ? sum + changes.reduce((s, change, c) => (keep.includes(c) ? s : s + change), 0) : sum;
  }, 0);
  return { parameters, macs, lossChange };
}

/** Adds to a plan the prune operation that meets a budget, from scores that were computed before. */
export async function planPrune(
  file: string,
  plan: SurgeryPlan | undefined,
  importance: ImportanceReport,
  budget: PruneBudget,
  limits: PruneLimits = {},
): Promise<SurgeryPlan> {
  const model = await loadModel(file, plan);
  const network = findChannelGroups(model.graph);
  const cost = new SelectionCost(network);
  const scores = importance.groups.map((g): GroupScores => ({ group: g.id, scores: g.scores, lossChange: g.lossChange }));
  const selection = await selectRounded(network, scores, { ...budget, ...limits }, cost);
  const base = plan ?? emptyPlan(path.resolve(file), model.hash);
  const operation = pruneOperation(
    network,
    selection,
    importance.criterion,
    `prune-${base.operations.length + 1}`,
    predictedEffect(cost, selection, scores),
  );
  return withOperation(base, operation);
}

type SelectFlags = Omit<PruneFlags, 'criterion' | 'output' | 'roundTo'>;

async function selectRounded(
  network: PrunableNetwork,
  scores: readonly GroupScores[],
  options: SelectFlags & PruneLimits,
  cost: SelectionCost,
  context: OperationContext = {},
): Promise<Selection> {
  const multiple = await resolveRoundTo(options.roundTo, context);
  return withRounding(multiple, options.roundTo === 'auto', (roundTo) => select(network, scores, { ...options, roundTo }, cost));
}

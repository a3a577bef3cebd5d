import path from 'node:path';
import type { ImportanceReport, Measured } from '../../contract/models';
import type { SurgeryPlan } from '../../contract/plan';
import type { PruneBudget } from '../../contract/protocol';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { findChannelGroups } from '../../pruning/channelGroups';
import type { GroupScores } from '../../pruning/importance';
import { maskedDifference } from '../../pruning/maskedDifference';
import { selectToBudget } from '../../pruning/ranking';
import type { Selection } from '../../pruning/selection';
import { SelectionCost } from '../../pruning/selectionCost';
import { sliceNetwork } from '../../pruning/slice';
import { emptyPlan, pruneOperation, withOperation, writePlan } from '../../surgery/plan';
import { type ImportanceFlags, scoreNetwork } from './importance';
import { loadModel } from './loadModel';
import { measureNetworks } from './measure';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export interface PruneFlags extends ImportanceFlags, PruneBudget {
  readonly output: string;
  readonly roundTo?: number;
  readonly planOnly?: boolean;
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
  const selection = selectToBudget(network, groups, options, cost, { roundTo: options.roundTo });
  const pruned = sliceNetwork(network, selection);
  const difference = await maskedDifference(runtime(), network, pruned, selection);
  const [before, after] = await measureNetworks([model.graph, pruned], options, context);
  const operation = pruneOperation(network, selection, options.criterion, 'prune-1', predictedEffect(cost, selection, groups));
  const plan = withOperation(emptyPlan(path.resolve(file), model.hash), operation);
  if (options.planOnly) await writePlan(plan, options.output);
  else await writeOnnx(pruned, options.output);
  return { before: before as Measured, after: after as Measured, maskedDifference: difference, plan };
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
  roundTo?: number,
): Promise<SurgeryPlan> {
  const model = await loadModel(file, plan);
  const network = findChannelGroups(model.graph);
  const cost = new SelectionCost(network);
  const scores = importance.groups.map((g): GroupScores => ({ group: g.id, scores: g.scores, lossChange: g.lossChange }));
  const selection = selectToBudget(network, scores, budget, cost, { roundTo });
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

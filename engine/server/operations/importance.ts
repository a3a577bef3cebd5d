import type { Criterion, ImportanceReport } from '../../contract/models';
import type { SurgeryPlan } from '../../contract/plan';
import { SurgeryError } from '../../graph/errors';
import { type PrunableNetwork, findChannelGroups } from '../../pruning/channelGroups';
import { CRITERIA, type GroupScores, gateTaylorScores, weightScores } from '../../pruning/importance';
import { SelectionCost } from '../../pruning/selectionCost';
import { type DataFlags, openData, scoringBatches } from './data';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export { CRITERIA };

export interface ImportanceFlags extends Partial<DataFlags> {
  readonly criterion: Criterion;
  readonly batches?: number;
  readonly batch?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly plan?: SurgeryPlan;
}

/** Scores of every prunable channel of a file. */
export async function computeImportance(file: string, options: ImportanceFlags, context: OperationContext = {}): Promise<ImportanceReport> {
  const { graph } = await loadModel(file, options.plan);
  const network = findChannelGroups(graph);
  const scored = await scoreNetwork(network, options, context);
  return {
    criterion: options.criterion,
    batches: scored.batches,
    groups: scored.groups.map(({ group, scores, lossChange }) => ({
      id: group,
      layers: network.groups.find((g) => g.id === group)?.layers ?? [],
      scores,
      ...(lossChange ? { lossChange } : {}),
    })),
    totals: new SelectionCost(network).of(),
    ...(scored.loss === undefined ? {} : { loss: scored.loss }),
  };
}

export async function scoreNetwork(
  network: PrunableNetwork,
  options: ImportanceFlags,
  context: OperationContext,
): Promise<{ groups: GroupScores[]; batches: number; loss?: number }> {
  if (network.groups.length === 0)
    throw new SurgeryError('graph-invalid', 'The network has no channels that can be pruned; inspect says why each layer is locked');
  const { criterion, batch = 100, batches = 20, seed = 1 } = options;
  if (criterion !== 'gate-taylor') return { groups: weightScores(network, criterion, seed), batches: 0 };
  const where = options.data;
  if (!where) throw new SurgeryError('option-invalid', 'Importance by gate-taylor needs data; the other criteria work without');
  const flags: DataFlags = { ...options, data: where };
  const data = await openData(flags);
  return gateTaylorScores(runtime(), network, scoringBatches(data, flags, batch, seed), {
    batch,
    batches,
    threads: options.threads,
    signal: context.signal,
    onBatch: (done) => context.progress?.(done, batches, 'batches', 'Scoring filters'),
  });
}

import type { Criterion, ImportanceReport } from '../../contract/models';
import type { SurgeryPlan } from '../../contract/plan';
import type { CostCurve, GroupExplanation, SensitivityReport } from '../../contract/pruning';
import { SurgeryError } from '../../graph/errors';
import { findChannelGroups } from '../../pruning/channelGroups';
import { costCurve } from '../../pruning/costCurve';
import { explainGroup, findGroup } from '../../pruning/explainGroup';
import { SelectionCost } from '../../pruning/selectionCost';
import { sensitivity } from '../../pruning/sensitivity';
import type { Batch } from '../../training/evaluate';
import { type DataFlags, openData, testBatches } from './data';
import { scoreNetwork } from './importance';
import { describeGroup } from './inspect';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { lockedGroups } from './prune';
import { runtime } from './runtime';

/** Why the channels of a group (or of a layer's group) stay or go together. */
export async function explainModelGroup(file: string, name: string, plan?: SurgeryPlan): Promise<GroupExplanation> {
  const network = findChannelGroups((await loadModel(file, plan)).graph);
  const group = findGroup(network, name);
  return { ...describeGroup(group, new SelectionCost(network)), ...explainGroup(network, group) };
}

/** Totals along the global order of scores that were computed before. */
export async function costCurveOf(
  file: string,
  {
    plan,
    importance,
    locked = [],
    points = 64,
  }: { plan?: SurgeryPlan; importance: ImportanceReport; locked?: readonly string[]; points?: number },
): Promise<CostCurve> {
  const network = findChannelGroups((await loadModel(file, plan)).graph);
  const scores = importance.groups.map(({ id, scores: values }) => ({ group: id, scores: values }));
  return costCurve(network, scores, { locked: lockedGroups(network.groups, locked) }, points);
}

export interface SensitivityFlags extends DataFlags {
  readonly plan?: SurgeryPlan;
  readonly criterion: Criterion;
  readonly importance?: ImportanceReport;
  readonly groups?: readonly string[];
  readonly fractions?: readonly number[];
  readonly samples?: number;
  readonly threads?: number;
}

const FRACTIONS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** Loss against the fraction cut, group by group, on a held-out batch. */
export async function measureSensitivity(
  file: string,
  options: SensitivityFlags,
  context: OperationContext = {},
): Promise<SensitivityReport> {
  const { criterion, samples = 100, fractions = FRACTIONS, threads } = options;
  const network = findChannelGroups((await loadModel(file, options.plan)).graph);
  const groups = options.groups ? options.groups.map((name) => findGroup(network, name)) : network.groups;
  const data = await openData(options);
  let held: Batch | undefined;
  for await (const batch of testBatches(data, options, Math.min(samples, data.test.count)).batches) {
    held = batch;
    break;
  }
  if (!held) throw new SurgeryError('data-malformed', 'The data has no held-out samples');
  const scores = options.importance
    ? new Map(options.importance.groups.map((g) => [g.id, g.scores]))
    : new Map((await scoreNetwork(network, options, context)).groups.map((g) => [g.group, g.scores]));
  const { whole, curves } = await sensitivity(runtime(), network, groups, scores, held, {
    fractions,
    threads,
    signal: context.signal,
    onRun: (done, total) => context.progress?.(done, total, 'runs', 'Measuring sensitivity'),
  });
  return {
    ...{ samples: held.y.dims[0] ?? 0, loss: whole.loss, accuracy: whole.accuracy, criterion },
    groups: groups.map(({ id, layers }, i) => ({ id, layers, points: curves[i] ?? [] })),
  };
}

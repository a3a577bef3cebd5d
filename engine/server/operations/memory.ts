import type { MemoryOptions, MemoryReport, PolicyReport } from '../../contract/memory';
import { buildTrainingGraph, carriedValues } from '../../autodiff/trainingGraph';
import type { Graph } from '../../graph/graph';
import { lowerGraph } from '../../memory/lowerGraph';
import { planMemory } from '../../memory/plan';
import type { MemoryProgram } from '../../memory/program';
import { iterationSeconds, layerTimeline, reportPolicy } from '../../memory/report';
import { MEMORY_POLICIES } from '../../memory/schedule';
import { BudgetTooSmall } from '../../memory/scheduler';
import { blockSize } from '../../runtime/layout';
import { loadModel } from './loadModel';
import { runtime } from './runtime';

/** Batches beyond this are not looked for. */
const LARGEST_BATCH = 2 ** 16;

/** Where every byte of a training step goes under each policy, without training. */
export async function memoryOfModel(file: string, options: MemoryOptions): Promise<MemoryReport> {
  const { graph } = await loadModel(file);
  return memoryReport(graph, { ...options, block: await blockSize(runtime(), options.layout) });
}

type PlanOptions = MemoryOptions & { readonly block: number };

function memoryReport(graph: Graph, options: PlanOptions): MemoryReport {
  const { batch, budget, policy = 'auto' } = options;
  const program = trainingProgram(graph, options, batch);
  const all = MEMORY_POLICIES.map((name) => reportPolicy(program, name, budget));
  const schedule = all.find(({ report }) => report.policy === policy)?.schedule;
  const largest = budget !== undefined && (options.largestBatch || !schedule) ? largestBatch(graph, options, budget) : undefined;
  const advice = schedule
    ? undefined
    : adviceFor(
        all.map(({ report }) => report),
        options,
        largest ?? 0,
      );
  return {
    batch,
    ...(budget === undefined ? {} : { budget }),
    policy,
    operations: program.operations.length,
    pinnedBytes: program.storages.reduce((sum, { bytes, pinned }) => sum + (pinned ? bytes : 0), 0),
    seconds: iterationSeconds(program),
    policies: all.map(({ report }) => report),
    timeline: schedule ? layerTimeline(program, schedule) : [],
    ...(largest === undefined ? {} : { largestBatch: largest }),
    ...(advice === undefined ? {} : { advice }),
  };
}

function trainingProgram(graph: Graph, { optimiser = 'sgd', momentum = 0.9, block }: PlanOptions, batch: number): MemoryProgram {
  const rule = optimiser === 'sgd' ? { kind: optimiser, momentum, weightDecay: 5e-4 } : { kind: optimiser, weightDecay: 5e-4 };
  const training = buildTrainingGraph(graph, { batch, training: true, optimiser: rule, block });
  return lowerGraph(training.graph, { carry: carriedValues(training) }).program;
}

function fits(graph: Graph, options: PlanOptions, budget: number, batch: number): boolean {
  try {
    planMemory(trainingProgram(graph, options, batch), options.policy ?? 'auto', budget);
    return true;
  } catch (error) {
    if (error instanceof BudgetTooSmall) return false;
    throw error;
  }
}

/** By doubling and bisection; 0 when not even one sample fits. */
function largestBatch(graph: Graph, options: PlanOptions, budget: number): number {
  let [low, high] = [0, 1];
  while (high <= LARGEST_BATCH && fits(graph, options, budget, high)) [low, high] = [high, 2 * high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(graph, options, budget, middle)) low = middle;
    else high = middle;
  }
  return low;
}

function adviceFor(reports: readonly PolicyReport[], { batch, policy = 'auto' }: MemoryOptions, largest: number): string {
  const own = reports.find((report) => report.policy === policy);
  const least = reports.reduce((a, b) => (a.floorBytes <= b.floorBytes ? a : b));
  const other = least.policy === policy ? '' : `, policy ${least.policy} ${mebibytes(least.floorBytes)}`;
  const accumulate = largest > 0 ? `; a batch of ${largest} fits, ${Math.ceil(batch / largest)} of which make up ${batch} samples` : '';
  return `Policy ${policy} needs at least ${mebibytes(own?.floorBytes ?? 0)}, set by layer ${own?.floorLayer ?? ''}${other}${accumulate}`;
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

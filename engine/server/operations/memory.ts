import type { MemoryOptions, MemoryPolicy, MemoryReport, PolicyReport } from '../../contract/memory';
import type { SurgeryPlan } from '../../contract/plan';
import type { Graph } from '../../graph/graph';
import { fitsWithin, planMemory } from '../../memory/plan';
import type { MemoryProgram } from '../../memory/program';
import { iterationSeconds, layerTimeline, reportPolicy } from '../../memory/report';
import { MEMORY_POLICIES } from '../../memory/schedule';
import { BudgetTooSmall } from '../../memory/scheduler';
import { blockSize } from '../../runtime/layout';
import { betweenPlans, graphOf, programOf, trainingProgram, workspaceOf } from './memoryPrograms';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

/** Batches beyond this are not looked for. */
const LARGEST_BATCH = 2 ** 16;

type PlanOptions = MemoryOptions & { readonly plan?: SurgeryPlan };

/** Where every byte of a training step goes under each policy, without training. */
export async function memoryOfModel(file: string, options: PlanOptions, context: OperationContext = {}): Promise<MemoryReport> {
  const { batch, budget, policy = 'auto' } = options;
  const graph = await graphOf(file, options.plan);
  const workspace = isDynamic(options) ? await workspaceOf(graph, options) : undefined;
  const program = workspace?.leanest.program ?? (await programOf(graph, options));
  const whole = iterationSeconds(workspace?.usual.program ?? program);
  let [shown, convolutions] = [program, undefined as MemoryReport['convolutions']];
  const all: ReturnType<typeof reportPolicy>[] = [];
  for (const name of MEMORY_POLICIES) {
    await betweenPlans(context);
    const fitted = workspace?.within(name, budget);
    if (fitted?.schedule && name === policy) [shown, convolutions] = [fitted.built.program, fitted.forms];
    const planned = fitted?.schedule && { schedule: fitted.schedule, slowerSeconds: fitted.slowerSeconds };
    all.push(reportPolicy(program, name, budget, whole, planned && (() => planned)));
  }
  const reports = all.map(({ report }) => report);
  const schedule = all.find(({ report }) => report.policy === policy)?.schedule;
  const largest =
    budget !== undefined && (options.largestBatch ?? !schedule) ? await largestBatch(graph, options, budget, context) : undefined;
  const advice = schedule ? undefined : adviceFor(reports, options, largest ?? 0);
  return {
    batch,
    ...(budget === undefined ? {} : { budget }),
    policy,
    operations: shown.operations.length,
    pinnedBytes: program.storages.reduce((sum, { bytes, pinned }) => sum + (pinned ? bytes : 0), 0),
    seconds: whole,
    policies: reports,
    timeline: schedule ? layerTimeline(shown, schedule) : [],
    ...(convolutions ? { convolutions } : {}),
    ...(largest === undefined ? {} : { largestBatch: largest }),
    ...(advice === undefined ? {} : { advice }),
  };
}

/** Without a budget nothing has to fit, and the fastest forms are taken. */
function isDynamic({ workspace, budget }: PlanOptions): boolean {
  return workspace === 'dynamic' && budget !== undefined;
}

/** The largest batch for which a schedule is found soon, and then larger ones for which one is found at all; 0 when not even one sample fits. */
async function largestBatch(graph: Graph, options: PlanOptions, budget: number, context: OperationContext): Promise<number> {
  const block = await blockSize(runtime(), options.layout);
  const { policy = 'auto' } = options;
  const programFor = async (batch: number): Promise<MemoryProgram> => {
    await betweenPlans(context);
    if (isDynamic(options)) return (await workspaceOf(graph, { ...options, batch })).leanest.program;
    return trainingProgram(graph, { ...options, batch }, block);
  };
  const soon = await largestFrom(0, 1, async (batch) => fitsWithin(await programFor(batch), policy, budget));
  return largestFrom(soon, Math.max(1, soon >> 3), async (batch) => isPlanned(await programFor(batch), policy, budget));
}

function isPlanned(program: MemoryProgram, policy: MemoryPolicy, budget: number): boolean {
  try {
    planMemory(program, policy, budget);
    return true;
  } catch (error) {
    if (error instanceof BudgetTooSmall) return false;
    throw error;
  }
}

/** In steps that double, then by bisection; `start` is known to fit. */
async function largestFrom(start: number, step: number, holds: (batch: number) => Promise<boolean>): Promise<number> {
  let [low, width] = [start, step];
  while (low + width <= LARGEST_BATCH && (await holds(low + width))) [low, width] = [low + width, 2 * width];
  let high = low + width;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function adviceFor(reports: readonly PolicyReport[], { batch, policy = 'auto' }: MemoryOptions, largest: number): string {
  const own = reports.find((report) => report.policy === policy);
  const least = reports.reduce((a, b) => (a.floorBytes <= b.floorBytes ? a : b));
  const other = least.policy === policy ? '' : `, policy ${least.policy} ${mebibytes(least.floorBytes)}`;
  const accumulate =
    largest > 0
      ? `; a batch of ${largest} fits: train --batch ${largest} --accumulate ${Math.ceil(batch / largest)} updates on ${largest * Math.ceil(batch / largest)} samples`
      : '';
  return `Policy ${policy} needs at least ${mebibytes(own?.floorBytes ?? 0)}, set by layer ${own?.floorLayer ?? ''}${other}${accumulate}`;
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Optimiser } from '../../autodiff/optimiser';
import { buildTrainingGraph, carriedValues } from '../../autodiff/trainingGraph';
import type { MemoryOptions } from '../../contract/memory';
import type { SurgeryPlan } from '../../contract/plan';
import type { Graph } from '../../graph/graph';
import type { DynamicWorkspace } from '../../memory/dynamicWorkspace';
import { lowerGraph } from '../../memory/lowerGraph';
import type { MemoryProgram } from '../../memory/program';
import { blockSize, measuredCosts } from '../../runtime/layout';
import { type PlannedStep, dynamicWorkspace } from '../../training/fittedGraph';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export type ProgramOptions = Pick<MemoryOptions, 'batch' | 'optimiser' | 'momentum' | 'layout'>;

/** Networks kept: a model before and after its surgery. */
const KEPT = 2;
const graphs = new Map<string, Promise<Graph>>();
const programs = new WeakMap<Graph, Map<string, MemoryProgram>>();
const workspaces = new WeakMap<Graph, Map<string, DynamicWorkspace<PlannedStep>>>();

/** A network whose memory is looked at. Those asked for last stay, because one moves a budget many times over the same network. */
export async function graphOf(file: string, plan?: SurgeryPlan): Promise<Graph> {
  const version = await stat(file).then(
    ({ mtimeMs, size }) => `${mtimeMs}:${size}`,
    () => '',
  );
  const key = JSON.stringify([file, version, plan]);
  const graph = graphs.get(key) ?? loadModel(file, plan).then((loaded) => loaded.graph);
  graphs.delete(key);
  graphs.set(key, graph);
  graph.catch(() => graphs.delete(key));
  for (const oldest of [...graphs.keys()].slice(0, -KEPT)) graphs.delete(oldest);
  return graph;
}

/** A training step as the planner takes it; the last one of each network stays. */
export async function programOf(graph: Graph, options: ProgramOptions): Promise<MemoryProgram> {
  const block = await blockSize(runtime(), options.layout);
  return lastOf(programs, graph, options, block, () => trainingProgram(graph, options, block));
}

/** As `programOf`, with convolutions' gradients in the ways that a budget allows. */
export async function workspaceOf(graph: Graph, options: ProgramOptions): Promise<DynamicWorkspace<PlannedStep>> {
  const block = await blockSize(runtime(), options.layout);
  const { batch } = options;
  return lastOf(workspaces, graph, options, block, () =>
    dynamicWorkspace(runtime(), graph, { batch, training: true, optimiser: ruleOf(options), block }),
  );
}

function lastOf<T>(
  known: WeakMap<Graph, Map<string, T>>,
  graph: Graph,
  { batch, optimiser, momentum }: ProgramOptions,
  block: number,
  make: () => T,
): T {
  const key = JSON.stringify([batch, optimiser, momentum, block, runtime().kernelCosts?.()]);
  const made = known.get(graph)?.get(key) ?? make();
  known.set(graph, new Map([[key, made]]));
  return made;
}

const ruleOf = ({ optimiser = 'sgd', momentum = 0.9 }: ProgramOptions): Optimiser =>
  optimiser === 'sgd' ? { kind: optimiser, momentum, weightDecay: 5e-4 } : { kind: optimiser, weightDecay: 5e-4 };

export function trainingProgram(graph: Graph, options: ProgramOptions, block: number): MemoryProgram {
  const { batch } = options;
  const costs = measuredCosts(runtime());
  const training = buildTrainingGraph(graph, { batch, training: true, optimiser: ruleOf(options), block, costs });
  const { macsPerSecond } = runtime().kernelCosts?.() ?? {};
  return lowerGraph(training.graph, { carry: carriedValues(training), macsPerSecond }).program;
}

/** Lets other requests in between two plans, and ends when the job is cancelled. */
export async function betweenPlans({ signal }: OperationContext): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}

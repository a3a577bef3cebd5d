import type { Optimiser } from '../../engine/autodiff/optimiser';
import { buildTrainingGraph, carriedValues } from '../../engine/autodiff/trainingGraph';
import type { Graph } from '../../engine/graph/graph';
import { lowerGraph } from '../../engine/memory/lowerGraph';
import { leastPool } from '../../engine/memory/plan';
import { blockSize } from '../../engine/runtime/layout';
import type { Runtime } from '../../engine/runtime/runtime';

/** The least pool that holds everything that is live at once in a training step (liveness alone), bytes. */
export async function wholePool(runtime: Runtime, network: Graph, options: { batch: number; optimiser: Optimiser }): Promise<number> {
  const training = buildTrainingGraph(network, { ...options, training: true, block: await blockSize(runtime, undefined) });
  return leastPool(lowerGraph(training.graph, { carry: carriedValues(training) }).program);
}

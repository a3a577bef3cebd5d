import { createModel } from '../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../engine/autodiff/trainingGraph';
import type { Graph } from '../../engine/graph/graph';
import { lowerGraph } from '../../engine/memory/lowerGraph';
import type { MemoryProgram } from '../../engine/memory/program';
import { residualNetwork } from './smallNetworks';

/** A training step with momentum, in the portable layout. */
export function trainingProgramOf(network: Graph, batch: number): MemoryProgram {
  const training = buildTrainingGraph(network, { batch, training: true, optimiser: { kind: 'sgd', momentum: 0.9 } });
  return lowerGraph(training.graph, { carry: carriedValues(training) }).program;
}

/** Training steps small enough for their best schedule to be found. */
export const SMALL_PROGRAMS: readonly { readonly name: string; readonly program: () => MemoryProgram }[] = [
  { name: 'mlp, batch 256', program: () => trainingProgramOf(createModel('mlp', { input: [1, 16, 16], classes: 10, seed: 1 }), 256) },
  { name: 'residual, batch 32', program: () => trainingProgramOf(residualNetwork(), 32) },
  {
    name: 'small-cnn, batch 8',
    program: () => trainingProgramOf(createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 }), 8),
  },
  {
    name: 'small-cnn, batch 64',
    program: () => trainingProgramOf(createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 }), 64),
  },
];

import { type TrainingGraph, type TrainingGraphOptions, buildTrainingGraph, carriedValues } from '../autodiff/trainingGraph';
import type { ConvolutionForm } from '../contract/memory';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { DynamicWorkspace } from '../memory/dynamicWorkspace';
import { lowerGraph } from '../memory/lowerGraph';
import type { MemoryProgram } from '../memory/program';
import { measuredCosts } from '../runtime/layout';
import type { MemoryOptions, Runtime } from '../runtime/runtime';

export interface PlannedStep {
  readonly training: TrainingGraph;
  readonly program: MemoryProgram;
}

/** Training steps of a network whose convolutions' gradients are computed in the ways that a budget allows, on the processor. */
export function dynamicWorkspace(runtime: Runtime, network: Graph, options: TrainingGraphOptions): DynamicWorkspace<PlannedStep> {
  const { macsPerSecond } = runtime.kernelCosts?.() ?? {};
  const build = (costs: TrainingGraphOptions['costs']): PlannedStep => {
    const training = buildTrainingGraph(network, { ...options, costs });
    return { training, program: lowerGraph(training.graph, { carry: carriedValues(training), macsPerSecond }).program };
  };
  return new DynamicWorkspace(build, { costs: measuredCosts(runtime), macsPerSecond });
}

/**
 * The training graph of a step; with a dynamic workspace, where memory is asked for so, and then how gradients of convolutions are computed.
 * @throws SurgeryError 'option-invalid' where a dynamic workspace is asked for on a device whose convolutions were not measured
 */
export function fittedGraph(
  runtime: Runtime,
  network: Graph,
  { device = runtime.device ?? 'cpu', ...options }: TrainingGraphOptions & { device?: string },
  memory?: MemoryOptions,
): { training: TrainingGraph; convolutions?: readonly ConvolutionForm[] } {
  if (memory?.workspace !== 'dynamic' || memory.budget === undefined) return { training: buildTrainingGraph(network, options) };
  if (device !== 'cpu')
    throw new SurgeryError(
      'option-invalid',
      `--workspace dynamic goes by times of the processor and the network is trained on ${device}: give --device cpu or --workspace fixed`,
    );
  const { built, forms } = dynamicWorkspace(runtime, network, options).within(memory.policy ?? 'auto', memory.budget);
  return { training: built.training, convolutions: forms };
}

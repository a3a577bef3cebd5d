import type { ApplyResult } from '../../contract/protocol';
import type { SurgeryPlan } from '../../contract/plan';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { keptIndices } from '../../pruning/keptIndices';
import { maskedDifference } from '../../pruning/maskedDifference';
import { readPlan } from '../../surgery/plan';
import { inspectModel } from './inspect';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';
import { exportWeights } from './stateDict';

export async function applyPlanFile(
  planFile: string,
  options: { output: string; base?: string; weights?: string },
  context: OperationContext = {},
): Promise<ApplyResult> {
  const plan = await readPlan(planFile);
  return applyPlan(options.base ?? plan.base.path, plan, options.output, context, options.weights);
}

/** Applies a plan, checks every cut against the masked network and writes the result. */
export async function applyPlan(
  file: string,
  plan: SurgeryPlan,
  output: string,
  context: OperationContext = {},
  weights?: string,
): Promise<ApplyResult> {
  const { graph, applied } = await loadModel(file, plan);
  let largest = 0;
  if (applied?.noise) context.log?.(`The plan trains with noise, which a file does not hold: train with --noise ${applied.noise.method}`);
  const cuts = applied?.cuts ?? [];
  for (const [i, { network, pruned, selection }] of cuts.entries()) {
    context.signal?.throwIfAborted();
    largest = Math.max(largest, await maskedDifference(runtime(), network, pruned, selection));
    context.progress?.(i + 1, cuts.length, 'operations', 'Checking against the masked network');
  }
  await writeOnnx(graph, output);
  if (weights) exportWeights(weights, graph, keptIndices(cuts), context);
  return { summary: await inspectModel(output), maskedDifference: largest };
}

/** Writes the weights that the plan leaves as safetensors, under the names that the source's layers have. */
export async function savePlanWeights(
  file: string,
  plan: SurgeryPlan | undefined,
  output: string,
  context: OperationContext = {},
): Promise<{ tensors: number; madeUp: readonly string[] }> {
  const { graph, applied } = await loadModel(file, plan);
  return exportWeights(output, graph, keptIndices(applied?.cuts ?? []), context);
}

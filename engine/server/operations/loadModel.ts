import type { SurgeryPlan } from '../../contract/plan';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { openModel } from '../../formats/openModel';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { foldConstants } from '../../ops/foldConstants';
import { inferShapes } from '../../ops/inferShapes';
import { runtime } from './runtime';
import { type AppliedPlan, applyOperations } from '../../surgery/plan';

export interface LoadedModel {
  readonly path: string;
  readonly format: string;
  readonly hash: string;
  readonly bytes: number;
  /** The network as the file has it, with the plan applied. */
  readonly graph: Graph;
  readonly applied?: AppliedPlan;
}

/** Opens a model file with shape arithmetic folded, and applies a plan to it. */
export async function loadModel(file: string, plan?: SurgeryPlan): Promise<LoadedModel> {
  const { format, graph: read, bytes, hash } = await openModel(file);
  if (plan && plan.base.hash !== hash)
    throw new SurgeryError(
      'option-invalid',
      `The plan was made for another version of ${file} (hash ${plan.base.hash.slice(0, 12)}, the file has ${hash.slice(0, 12)})`,
    );
  const graph = foldConstants(read, inferShapes(read));
  if (!plan || plan.operations.length === 0) return { path: file, format, hash, bytes, graph };
  const applied = await applyOperations(graph, plan.operations, runtime);
  return { path: file, format, hash, bytes: encodeOnnx(applied.graph).byteLength, graph: applied.graph, applied };
}

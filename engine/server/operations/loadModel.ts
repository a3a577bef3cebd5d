import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { SurgeryPlan } from '../../contract/plan';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { parseOnnx } from '../../formats/onnx/readOnnx';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { foldConstants } from '../../ops/foldConstants';
import { inferShapes } from '../../ops/inferShapes';
import { type AppliedPlan, applyOperations } from '../../surgery/plan';

export interface LoadedModel {
  readonly path: string;
  readonly hash: string;
  readonly bytes: number;
  /** The network as the file has it, with the plan applied. */
  readonly graph: Graph;
  readonly applied?: AppliedPlan;
}

/** Opens a model file with shape arithmetic folded, and applies a plan to it. */
export async function loadModel(file: string, plan?: SurgeryPlan): Promise<LoadedModel> {
  const data = await readFile(file).catch((error: unknown) => {
    throw isMissing(error)
      ? new SurgeryError('file-not-found', `${file} does not exist`)
      : new SurgeryError('file-unsupported', `${file} cannot be read: ${String(error)}`);
  });
  const hash = createHash('sha256').update(data).digest('hex');
  if (plan && plan.base.hash !== hash)
    throw new SurgeryError(
      'option-invalid',
      `The plan was made for another version of ${file} (hash ${plan.base.hash.slice(0, 12)}, the file has ${hash.slice(0, 12)})`,
    );
  const read = parseOnnx(data, file, path.dirname(path.resolve(file)));
  const graph = foldConstants(read, inferShapes(read));
  if (!plan || plan.operations.length === 0) return { path: file, hash, bytes: data.byteLength, graph };
  const applied = applyOperations(graph, plan.operations);
  return { path: file, hash, bytes: encodeOnnx(applied.graph).byteLength, graph: applied.graph, applied };
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

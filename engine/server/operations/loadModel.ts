import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
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
  const { data, hash } = await readAndHash(file).catch((error: unknown) => {
    throw isMissing(error)
      ? new SurgeryError('file-not-found', `${file} does not exist`)
      : new SurgeryError('file-unsupported', `${file} cannot be read: ${String(error)}`);
  });
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

const PIECE = 4 * 2 ** 20;

/** A file's bytes and their SHA-256; one piece is hashed while the next is read. */
async function readAndHash(file: string): Promise<{ data: Uint8Array; hash: string }> {
  const handle = await open(file);
  try {
    const data = Buffer.allocUnsafeSlow((await handle.stat()).size);
    const hash = createHash('sha256');
    const readPiece = (at: number) => handle.read(data, at, Math.min(PIECE, data.length - at), at);
    let length = 0;
    for (let next = readPiece(0); length < data.length;) {
      const { bytesRead } = await next;
      if (bytesRead === 0) throw new Error('it became shorter while it was read');
      next = readPiece(length + bytesRead);
      hash.update(data.subarray(length, length + bytesRead));
      length += bytesRead;
      if (length === data.length) await next;
    }
    return { data, hash: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

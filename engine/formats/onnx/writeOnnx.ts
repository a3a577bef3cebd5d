import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { bytesOf } from '../../graph/tensor';
import { encodeOnnx } from './encodeOnnx';
import { encodeExternalTensor, encodeTensor } from './tensors';

/** Protobuf cannot hold 2 GiB; weights beyond this go into a file beside the model. */
const INLINE_LIMIT = 1.75 * 2 ** 30;
/** Tensors below this stay in the model file even then: shapes must be readable without the other file. */
const EXTERNAL_MINIMUM = 1024;
const ALIGNMENT = 4096;

/** Writes a model to a temporary file that then takes the name: a reader sees the old file or the new one. */
export async function writeOnnx(graph: Graph, file: string, options: { inlineLimit?: number } = {}): Promise<void> {
  const total = [...graph.initializers.values()].reduce((n, t) => n + (ArrayBuffer.isView(t.data) ? t.data.byteLength : 0), 0);
  const temporary = `${file}.${process.pid}.tmp`;
  const dataFile = `${path.basename(file)}.data`;
  try {
    if (total <= (options.inlineLimit ?? INLINE_LIMIT)) await writeAll(temporary, [encodeOnnx(graph)]);
    else await writeWithExternalData(graph, temporary, path.join(path.dirname(file), dataFile), dataFile);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error instanceof SurgeryError
      ? error
      : new SurgeryError('file-unsupported', `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function writeWithExternalData(graph: Graph, temporary: string, dataPath: string, location: string): Promise<void> {
  const parts: Uint8Array[] = [];
  let offset = 0;
  const bytes = encodeOnnx(graph, (name, tensor) => {
    if (!ArrayBuffer.isView(tensor.data) || tensor.data.byteLength < EXTERNAL_MINIMUM) return encodeTensor(name, tensor);
    const padding = (ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT;
    const data = bytesOf(tensor);
    parts.push(new Uint8Array(padding), data);
    const proto = encodeExternalTensor(name, tensor, location, offset + padding);
    offset += padding + data.byteLength;
    return proto;
  });
  const temporaryData = `${dataPath}.${process.pid}.tmp`;
  await writeAll(temporaryData, parts);
  await rename(temporaryData, dataPath);
  await writeAll(temporary, [bytes]);
}

async function writeAll(file: string, parts: readonly Uint8Array[]): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (const part of parts) await handle.writeFile(part);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { parseKeras } from './keras/readKeras';
import { parseOnnx } from './onnx/readOnnx';
import { parseTfjs } from './tfjs/readTfjs';

export interface OpenedModel {
  readonly format: string;
  readonly graph: Graph;
  readonly bytes: number;
  /** SHA-256 of the file. */
  readonly hash: string;
}

const WEIGHTS_ONLY = /\.(safetensors|th|pth|pt|ckpt|npz)$/i;

/** Opens a model file: ONNX, Keras HDF5 (.h5), or a tfjs layers model (model.json, or the folder that holds it). */
export async function openModel(place: string): Promise<OpenedModel> {
  const file = fileOf(place);
  const { data, hash } = await readAndHash(file);
  const opened = (format: string, graph: Graph): OpenedModel => ({ format, graph, bytes: data.byteLength, hash });
  if (WEIGHTS_ONLY.test(file))
    throw new SurgeryError('file-unsupported', `${file} holds weights without a network; export the network to ONNX (torch.onnx.export)`);
  if (/\.keras$/i.test(file))
    throw new SurgeryError('file-unsupported', `${file}: .keras archives cannot be read; save the model as .h5 or export it to ONNX`);
  if (/\.(h5|hdf5)$/i.test(file)) return opened('Keras', parseKeras(data, file));
  if (/\.json$/i.test(file)) return opened('tfjs', await parseTfjs(data, file));
  return opened('ONNX', parseOnnx(data, file, path.dirname(path.resolve(file))));
}

function fileOf(place: string): string {
  if (!existsSync(place)) throw new SurgeryError('file-not-found', `${place} does not exist`);
  if (!statSync(place).isDirectory()) return place;
  const inside = path.join(place, 'model.json');
  if (existsSync(inside)) return inside;
  throw new SurgeryError('file-unsupported', `${place} is a folder without a model.json; give a model file`);
}

const PIECE = 4 * 2 ** 20;

/** A file's bytes and their SHA-256; one piece is hashed while the next is read. */
async function readAndHash(file: string): Promise<{ data: Uint8Array; hash: string }> {
  const handle = await open(file).catch((error: unknown) => {
    throw new SurgeryError('file-unsupported', `${file} cannot be read: ${String(error)}`);
  });
  try {
    const data = Buffer.allocUnsafeSlow((await handle.stat()).size);
    const hash = createHash('sha256');
    const readPiece = (at: number) => handle.read(data, at, Math.min(PIECE, data.length - at), at);
    for (let length = 0, next = readPiece(0); length < data.length;) {
      const { bytesRead } = await next;
      if (bytesRead === 0) throw new SurgeryError('file-unsupported', `${file} became shorter while it was read`);
      const piece = data.subarray(length, length + bytesRead);
      length += bytesRead;
      if (length < data.length) next = readPiece(length);
      hash.update(piece);
    }
    return { data, hash: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

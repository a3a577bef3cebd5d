import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type Zippable, unzipSync, zipSync } from 'fflate';
import { SurgeryError } from '../../graph/errors';
import type { Tensor } from '../../graph/tensor';
import { formatNpy, parseNpy } from './npy';

/** Arrays of a NumPy .npz file by name, in file order. Throws SurgeryError 'file-not-found' or 'data-malformed'. */
export function readNpz(path: string): Map<string, Tensor> {
  let entries: Record<string, Uint8Array>;
  const bytes = readWhole(path);
  try {
    entries = unzipSync(bytes);
  } catch (error) {
    throw new SurgeryError('data-malformed', `${path}, offset 0: is not a readable zip archive (${(error as Error).message})`, {
      file: path,
    });
  }
  const arrays = Object.entries(entries).filter(([name]) => name.endsWith('.npy'));
  return new Map(arrays.map(([name, body]) => [name.slice(0, -4), parseNpy(body, `${path}:${name}`)]));
}

/** Writes arrays as an uncompressed .npz, as numpy.savez does; the file appears whole or not at all, and the next write takes away what a killed one left. */
export function writeNpz(path: string, arrays: ReadonlyMap<string, Tensor>): void {
  const entries: Zippable = {};
  for (const [name, tensor] of arrays) entries[`${name}.npy`] = formatNpy(tensor);
  const partial = `${path}.partial`;
  try {
    writeFileSync(partial, zipSync(entries, { level: 0 }));
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

function readWhole(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new SurgeryError('file-not-found', `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      file: path,
    });
  }
}

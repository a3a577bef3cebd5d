import { existsSync, readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { SurgeryError } from '../graph/errors';

export const malformed = (file: string, offset: number, reason: string): SurgeryError =>
  new SurgeryError('data-malformed', `${file}, offset ${offset}: ${reason}`, { file, offset });

export const isDirectory = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

/** A whole file, unpacked when its name ends in .gz or .tgz. */
export function readData(path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new SurgeryError('file-not-found', `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      file: path,
    });
  }
  if (!/\.t?gz$/.test(path)) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw malformed(path, 0, `is not a whole gzip file (${(error as Error).message})`);
  }
}

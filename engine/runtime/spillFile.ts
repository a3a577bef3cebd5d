import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, unlinkSync } from 'node:fs';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import koffi from 'koffi';
import { SurgeryError } from '../graph/errors';

const PREFIX = 'scalpel-spill-';
const NO_SPACE = 28;

/**
 * A file that takes what the pool has no room for. Its space is reserved beforehand, so a full disk is refused before anything runs.
 * Where the system allows, it has no name once it is open, so that it ends with the process however that ends; elsewhere the next
 * start removes what a dead process left.
 */
export class SpillFile {
  private constructor(
    private readonly descriptor: number,
    private readonly file: string | undefined,
  ) {}

  /** @throws SurgeryError 'budget-impossible' when the folder's disk does not hold it */
  static open(bytes: number, folder = os.tmpdir()): SpillFile {
    mkdirSync(folder, { recursive: true });
    removeLeftOvers(folder);
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < bytes) throw tooFull(folder, bytes, bavail * bsize);
    const file = path.join(folder, `${PREFIX}${process.pid}-${Math.random().toString(36).slice(2)}`);
    const descriptor = openSync(file, 'wx+', 0o600);
    const unlinked = process.platform !== 'win32';
    if (unlinked) unlinkSync(file);
    if (!reserve(descriptor, bytes)) {
      closeSync(descriptor);
      if (!unlinked) rmSync(file, { force: true });
      throw tooFull(folder, bytes, bavail * bsize);
    }
    return new SpillFile(descriptor, unlinked ? undefined : file);
  }

  write(memory: Uint8Array, offset: number, bytes: number, position: number): Promise<void> {
    return this.#move(fs.write, memory, offset, bytes, position);
  }

  read(memory: Uint8Array, offset: number, bytes: number, position: number): Promise<void> {
    return this.#move(fs.read, memory, offset, bytes, position);
  }

  close(): void {
    closeSync(this.descriptor);
    if (this.file !== undefined) rmSync(this.file, { force: true });
  }

  async #move(call: typeof fs.read | typeof fs.write, memory: Uint8Array, offset: number, bytes: number, position: number): Promise<void> {
    for (let done = 0; done < bytes;)
      done += await new Promise<number>((resolve, reject) =>
        (call as typeof fs.read)(
          this.descriptor,
          memory,
          offset + done,
          Math.min(bytes - done, 2 ** 30),
          position + done,
          (error, count) => {
            if (error) reject(new SurgeryError('runtime-failed', `The spill file failed: ${error.message}`));
            else if (count === 0) reject(new SurgeryError('runtime-failed', 'The spill file ended early'));
            else resolve(count);
          },
        ),
      );
  }
}

const tooFull = (folder: string, bytes: number, free: number): SurgeryError =>
  new SurgeryError(
    'budget-impossible',
    `${folder} has ${Math.floor(free / 2 ** 20)} MiB free; training within this memory budget moves ${Math.ceil(bytes / 2 ** 20)} MiB to disk. Free some space, set TMPDIR, or raise the budget`,
  );

let allocate: ((descriptor: number, offset: number, bytes: number) => number) | undefined;

/** Linux reserves the blocks; elsewhere the check of the free space has to do. */
function reserve(descriptor: number, bytes: number): boolean {
  if (process.platform !== 'linux' || bytes === 0) return true;
  allocate ??= koffi.load('libc.so.6').func('posix_fallocate', 'int', ['int', 'int64', 'int64']) as unknown as typeof allocate;
  return allocate?.(descriptor, 0, bytes) !== NO_SPACE;
}

function removeLeftOvers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const owner = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : NaN;
    if (Number.isInteger(owner) && !isAlive(owner)) rmSync(path.join(folder, name), { force: true });
  }
}

function isAlive(process_: number): boolean {
  try {
    process.kill(process_, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

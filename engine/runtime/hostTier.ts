import { SpillFile } from './spillFile';

/** Where values go that a device has no room for. */
export interface HostTier {
  write(bytes: Uint8Array, position: number): Promise<void>;
  read(bytes: number, position: number): Promise<Uint8Array>;
  close(): void;
}

/** Memory of the host, for devices with a memory of their own. */
export class HostMemory implements HostTier {
  readonly #memory: Buffer;

  constructor(bytes: number) {
    this.#memory = Buffer.allocUnsafeSlow(bytes);
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    this.#memory.set(bytes, position);
    return Promise.resolve();
  }

  read(bytes: number, position: number): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#memory.subarray(position, position + bytes)));
  }

  close(): void {
    return;
  }
}

/** A file, for devices that compute in the host's memory. */
export class HostFile implements HostTier {
  readonly #file: SpillFile;

  /** @throws SurgeryError 'budget-impossible' when the folder's disk does not hold it */
  constructor(bytes: number, folder?: string) {
    this.#file = SpillFile.open(bytes, folder);
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#file.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength, position);
  }

  async read(bytes: number, position: number): Promise<Uint8Array> {
    const target = new Uint8Array(bytes);
    await this.#file.read(Buffer.from(target.buffer), 0, bytes, position);
    return target;
  }

  close(): void {
    this.#file.close();
  }
}

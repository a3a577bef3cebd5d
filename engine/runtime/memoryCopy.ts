import koffi from 'koffi';
import type { TypedArray } from '../graph/tensor';

const C_LIBRARY: Partial<Record<NodeJS.Platform, string>> = { linux: 'libc.so.6', darwin: 'libSystem.B.dylib', win32: 'ucrtbase.dll' };

type Memcpy = {
  (target: bigint | TypedArray, source: bigint | TypedArray, bytes: number): unknown;
  async(target: bigint, source: bigint, bytes: number, done: (error: unknown) => void): void;
};

let memcpy: Memcpy | undefined;

function openMemcpy(): Memcpy {
  memcpy ??= koffi
    .load(C_LIBRARY[process.platform] ?? 'libc.so.6')
    .func('memcpy', 'void *', ['void *', 'void *', 'size_t']) as unknown as Memcpy;
  return memcpy;
}

/** Fills an array from memory outside the JavaScript heap. */
export function copyFrom(address: bigint, target: TypedArray): void {
  if (target.byteLength > 0) openMemcpy()(target, address, target.byteLength);
}

/** Writes an array to memory outside the JavaScript heap. */
export function copyTo(address: bigint, source: TypedArray): void {
  if (source.byteLength > 0) openMemcpy()(address, source, source.byteLength);
}

/** Copies between two places on a thread of libuv's pool; both must stay alive until the promise settles. */
export function copyAsync(target: bigint, source: bigint, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    openMemcpy().async(target, source, bytes, (error) =>
      error ? reject(new Error('Copying memory failed', { cause: error })) : resolve(),
    );
  });
}

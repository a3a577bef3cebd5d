import koffi from 'koffi';
import path from 'node:path';
import { SurgeryError } from '../../graph/errors';
import type { TypedArray } from '../../graph/tensor';
import { API_VERSION, TABLE, type ArgumentKind, type HandleKind, type ResultKind } from './table';

/** An opaque pointer of the C API; TypeScript refuses one kind where another is wanted. 0n is null. */
export type Handle<K extends HandleKind> = bigint & { readonly handle: K };
/** Memory: an address, a typed array (its first byte), or null. */
export type Address = bigint | TypedArray | null;

type FunctionName = keyof typeof TABLE;
type ArgumentOf<K> = K extends `out ${HandleKind}`
  ? BigUint64Array
  : K extends 'runOptions'
    ? Handle<'runOptions'> | null
    : K extends HandleKind
      ? Handle<K>
      : K extends 'address'
        ? Address
        : K extends 'size' | 'int'
          ? number
          : string;
type ArgumentsOf<L extends readonly ArgumentKind[]> = { -readonly [I in keyof L]: ArgumentOf<L[I]> };
type ResultOf<R extends ResultKind> = R extends 'int' ? number : R extends 'text' ? string : undefined;
type Api = { readonly [N in FunctionName]: (...args: ArgumentsOf<(typeof TABLE)[N]['args']>) => ResultOf<(typeof TABLE)[N]['result']> };

type Made<L extends readonly ArgumentKind[]> = L extends readonly [
  ...infer Rest extends readonly ArgumentKind[],
  `out ${infer K extends HandleKind}`,
]
  ? { readonly before: ArgumentsOf<Rest>; readonly handle: Handle<K> }
  : never;
type Before<N extends FunctionName> = Made<(typeof TABLE)[N]['args']>['before'];
type HandleMadeBy<N extends FunctionName> = Made<(typeof TABLE)[N]['args']>['handle'];

/** A failure that onnxruntime reports; `code` is its OrtErrorCode. */
export class OrtError extends Error {
  override readonly name = 'OrtError';

  constructor(
    readonly code: number,
    message: string,
    readonly call: string,
  ) {
    super(message);
  }
}

/** onnxruntime's shared library with its function table bound: every call is checked, every signature typed. */
export interface OrtLibrary {
  readonly version: string;
  readonly api: Api;
  /** Calls a function whose last argument is the handle it makes, and returns that handle. */
  readonly make: <N extends FunctionName>(name: N, ...args: Before<N>) => HandleMadeBy<N>;
  /** `make` on a thread of libuv's pool. Memory given by its address must stay alive until the promise settles. */
  makeAsync<N extends FunctionName>(name: N, ...args: Before<N>): Promise<HandleMadeBy<N>>;
  /** A call on a thread of libuv's pool, under the same rule. */
  callAsync<N extends FunctionName>(name: N, ...args: ArgumentsOf<(typeof TABLE)[N]['args']>): Promise<void>;
}

const FILE: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

/** Arguments of the calls under way on other threads: koffi keeps no reference to them. */
const pinned = new Set<unknown[]>();

let loaded: OrtLibrary | undefined;

/**
 * Loads the library that lies in the installed onnxruntime-node package, once per process.
 * @throws SurgeryError 'runtime-failed' when the platform has none, or it is too old.
 */
export function loadLibrary(): OrtLibrary {
  loaded ??= bind(libraryPath());
  return loaded;
}

function libraryPath(): string {
  const { platform, arch } = process;
  const file = FILE[platform];
  const supported = file && (arch === 'arm64' || (arch === 'x64' && platform !== 'darwin'));
  if (!supported)
    throw new SurgeryError(
      'runtime-failed',
      `onnxruntime has no library for ${platform} ${arch}; use Linux or Windows (x64, arm64) or macOS (arm64)`,
    );
  return path.join(path.dirname(require.resolve('onnxruntime-node')), '..', 'bin', 'napi-v6', platform, arch, file);
}

type Foreign = { (...args: unknown[]): unknown; async(...args: unknown[]): void };

const C_TYPE = (kind: ArgumentKind): string => {
  if (kind === 'size') return 'size_t';
  if (kind === 'int') return 'int';
  if (kind === 'text') return 'str';
  if (kind === 'path') return process.platform === 'win32' ? 'str16' : 'str';
  return 'void *';
};
const C_RESULT: Record<ResultKind, string> = { status: 'void *', void: 'void', int: 'int', text: 'const char *' };

function bind(file: string): OrtLibrary {
  koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 8 << 20 });
  const library = openFile(file);
  const base: unknown = library.func('OrtGetApiBase', 'void *', [])();
  const pointerAt = (table: unknown, index: number): bigint => BigInt(koffi.decode(table, 8 * index, 'uint64_t') as number | bigint);
  const foreign = (pointer: bigint, result: string, args: string[]): Foreign => koffi.decode(pointer, koffi.proto(result, args)) as Foreign;
  const version = foreign(pointerAt(base, 1), 'const char *', [])() as string;
  const table = foreign(pointerAt(base, 0), 'void *', ['uint32_t'])(API_VERSION);
  if (!table) throw new SurgeryError('runtime-failed', `onnxruntime ${version} is too old: the engine needs C API version ${API_VERSION}`);

  const names = Object.keys(TABLE) as FunctionName[];
  const raw = Object.fromEntries(
    names.map((name) => {
      const { index, result, args } = TABLE[name];
      return [name, foreign(pointerAt(table, index), C_RESULT[result], args.map(C_TYPE))];
    }),
  ) as Record<FunctionName, Foreign>;

  const check = (status: unknown, call: string): void => {
    if (!status) return;
    const error = new OrtError(raw.GetErrorCode(status) as number, raw.GetErrorMessage(status) as string, call);
    raw.ReleaseStatus(status);
    throw error;
  };
  const checked = (name: FunctionName): Foreign | ((...args: unknown[]) => void) =>
    TABLE[name].result === 'status' ? (...args: unknown[]) => check(raw[name](...args), name) : raw[name];
  const api = Object.fromEntries(names.map((name) => [name, checked(name)])) as unknown as Api;
  const callAsync = (name: FunctionName, args: unknown[]): Promise<void> =>
    new Promise((resolve, reject) => {
      pinned.add(args);
      raw[name].async(...args, (error: unknown, status: unknown) => {
        pinned.delete(args);
        try {
          if (error) throw error as Error;
          check(status, name);
          resolve();
        } catch (failure) {
          reject(failure instanceof Error ? failure : new Error(String(failure)));
        }
      });
    });
  return {
    version,
    api,
    make: <N extends FunctionName>(name: N, ...args: Before<N>) => {
      const box = new BigUint64Array(1);
      check(raw[name](...(args as unknown[]), box), name);
      return box[0] as HandleMadeBy<N>;
    },
    makeAsync: async <N extends FunctionName>(name: N, ...args: Before<N>) => {
      const box = new BigUint64Array(1);
      await callAsync(name, [...(args as unknown[]), box]);
      return box[0] as HandleMadeBy<N>;
    },
    callAsync: (name, ...args) => callAsync(name, args as unknown[]),
  };
}

function openFile(file: string): ReturnType<typeof koffi.load> {
  try {
    return koffi.load(file);
  } catch (error) {
    throw new SurgeryError('runtime-failed', `onnxruntime's library cannot be loaded: ${(error as Error).message.split('\n')[0]}`, {
      file,
    });
  }
}

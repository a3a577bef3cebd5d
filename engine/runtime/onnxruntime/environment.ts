import { availableParallelism } from 'node:os';
import { openDenormalFlush, type DenormalFlush } from './denormals';
import { loadLibrary, type Handle, type OrtLibrary } from './library';

/** What every session shares. One per process: onnxruntime keeps a single environment, and the first to create it decides. */
export interface Environment {
  readonly library: OrtLibrary;
  readonly handle: Handle<'env'>;
  readonly cpuMemory: Handle<'memoryInfo'>;
  readonly allocator: Handle<'allocator'>;
  /** Threads of the pool that sessions share. */
  readonly threads: number;
  readonly denormals: DenormalFlush;
}

const LOG_FATAL = 4;
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

let opened: Environment | undefined;

/**
 * The environment, made on the first call with one thread pool for all sessions: sessions with pools of their own keep spinning after a run and
 * take the cores from the next one. Must happen before onnxruntime's JavaScript binding is loaded, which would make an environment without it.
 */
export function openEnvironment(): Environment {
  opened ??= createEnvironment(loadLibrary());
  return opened;
}

function createEnvironment(library: OrtLibrary): Environment {
  const { api, make } = library;
  const threads = availableParallelism();
  const threading = make('CreateThreadingOptions');
  api.SetGlobalIntraOpNumThreads(threading, threads);
  api.SetGlobalInterOpNumThreads(threading, 1);
  const denormals = openDenormalFlush();
  if (denormals.active) api.SetGlobalDenormalAsZero(threading);
  const handle = make('CreateEnvWithGlobalThreadPools', LOG_FATAL, 'scalpel', threading);
  api.ReleaseThreadingOptions(threading);
  return {
    library,
    handle,
    threads,
    denormals,
    cpuMemory: make('CreateCpuMemoryInfo', DEVICE_ALLOCATOR, DEFAULT_MEMORY),
    allocator: make('GetAllocatorWithDefaultOptions'),
  };
}

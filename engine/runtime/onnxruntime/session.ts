import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import koffi from 'koffi';
import { SurgeryError } from '../../graph/errors';
import type { CompileOptions } from '../runtime';
import type { Environment } from './environment';
import { OrtError, type Handle } from './library';
import { onWebGpu, releaseOnWebGpu } from './webGpuQueue';

const OPTIMISATION = { none: 0, basic: 1, extended: 2, all: 99 } as const;
const LOG_FATAL = 4;
const IF_LOST = 'if the device was lost, go on from the last checkpoint with --resume, or use --device cpu';
/** Runs shorter than this are made on the calling thread: handing them to another thread costs as much. */
const SHORT_MS = 0.15;

export interface SessionSettings extends CompileOptions {
  /** Names of nodes that a device leaves to the processor. */
  readonly onProcessor?: readonly string[];
}

/** The names and values of one call of Run, as the pointer arrays that it reads. */
export interface Frame {
  readonly inputNames: BigUint64Array;
  readonly inputs: BigUint64Array;
  readonly outputNames: BigUint64Array;
  /** An output that is 0n is allocated by onnxruntime and stored here. */
  readonly outputs: BigUint64Array;
}

/** An OrtSession. Its owner keeps runs from overlapping and memory alive. */
export class Session {
  static #count = 0;
  /** Unique in this process. */
  readonly id = Session.#count++;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #names: ReadonlyMap<string, Buffer>;
  #lastMs = Infinity;

  private constructor(
    private readonly environment: Environment,
    private readonly handle: Handle<'session'>,
    private readonly label: string,
    /** Whether it computes on the GPU. */
    readonly onGpu: boolean,
    private profiling: boolean,
  ) {
    this.inputs = this.#readNames('Input');
    this.outputs = this.#readNames('Output');
    this.#names = new Map([...this.inputs, ...this.outputs].map((name) => [name, Buffer.from(`${name}\0`)]));
  }

  /** Compiles a model's bytes off the calling thread. */
  static async create(environment: Environment, bytes: Uint8Array, label: string, options: SessionSettings): Promise<Session> {
    const { api } = environment.library;
    await environment.denormals.ready();
    const settings = settingsFor(environment, options, label);
    const onGpu = options.device === 'webgpu';
    const create = (): Promise<Handle<'session'>> => createSession(environment, bytes, settings);
    try {
      return new Session(environment, await (onGpu ? onWebGpu(create) : create()), label, onGpu, isProfiled(options));
    } catch (error) {
      throw runtimeError(error, `${label} cannot be compiled`);
    } finally {
      api.ReleaseSessionOptions(settings);
    }
  }

  #readNames(side: 'Input' | 'Output'): string[] {
    const { library, allocator } = this.environment;
    const box = new BigUint64Array(1);
    library.api[`SessionGet${side}Count`](this.handle, box);
    return Array.from({ length: Number(box[0]) }, (_, i) => {
      library.api[`SessionGet${side}Name`](this.handle, i, allocator, box);
      return takeText(this.environment, box[0] ?? 0n);
    });
  }

  frame(inputs: readonly string[], outputs: readonly string[]): Frame {
    const pointers = (names: readonly string[]): BigUint64Array => BigUint64Array.from(names, (name) => koffi.address(this.#nameOf(name)));
    return {
      inputNames: pointers(inputs),
      inputs: new BigUint64Array(inputs.length),
      outputNames: pointers(outputs),
      outputs: new BigUint64Array(outputs.length),
    };
  }

  #nameOf(name: string): Buffer {
    const bytes = this.#names.get(name);
    if (!bytes) throw new SurgeryError('runtime-failed', `${this.label} has no input or output ${name}`);
    return bytes;
  }

  /** @throws SurgeryError 'cancelled' when `signal` is aborted, 'runtime-failed' when an operator fails. */
  run(frame: Frame, signal?: AbortSignal): Promise<void> {
    return this.onGpu ? onWebGpu(() => this.#run(frame, signal)) : this.#run(frame, signal);
  }

  /** One run whose caller holds the GPU's queue. */
  runHeld(frame: Frame, signal?: AbortSignal): Promise<void> {
    return this.#run(frame, signal);
  }

  async #run(frame: Frame, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw cancelled(this.label);
    const start = performance.now();
    try {
      if (this.#lastMs < SHORT_MS && !this.onGpu) this.#runHere(frame);
      else await this.#withSignal(signal, (options) => this.environment.library.callAsync('Run', ...this.#arguments(frame, options)));
    } catch (error) {
      throw signal?.aborted ? cancelled(this.label) : runtimeError(error, `${this.label} failed`);
    }
    this.#lastMs = performance.now() - start;
  }

  #runHere(frame: Frame): void {
    const { denormals, library } = this.environment;
    denormals.during(() => library.api.Run(...this.#arguments(frame, null)));
  }

  /** One run on tensors that are bound; its caller holds the GPU's queue. */
  async runBound(binding: Handle<'binding'>, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw cancelled(this.label);
    try {
      await this.#withSignal(signal, (options) => this.environment.library.callAsync('RunWithBinding', this.handle, options, binding));
    } catch (error) {
      throw signal?.aborted ? cancelled(this.label) : runtimeError(error, `${this.label} failed on the GPU (${IF_LOST})`);
    }
  }

  async #withSignal(signal: AbortSignal | undefined, run: (options: Handle<'runOptions'> | null) => Promise<void>): Promise<void> {
    if (!signal) return run(null);
    const { library } = this.environment;
    const options = library.make('CreateRunOptions');
    const terminate = (): void => library.api.RunOptionsSetTerminate(options);
    signal.addEventListener('abort', terminate);
    try {
      await run(options);
    } finally {
      signal.removeEventListener('abort', terminate);
      library.api.ReleaseRunOptions(options);
    }
  }

  #arguments(frame: Frame, options: Handle<'runOptions'> | null) {
    const { inputNames, inputs, outputNames, outputs } = frame;
    return [this.handle, options, inputNames, inputs, inputs.length, outputNames, outputs.length, outputs] as const;
  }

  /** Ends profiling and returns the path of the file it wrote. */
  endProfiling(): string {
    this.profiling = false;
    const { library, allocator } = this.environment;
    const box = new BigUint64Array(1);
    library.api.SessionEndProfiling(this.handle, allocator, box);
    return takeText(this.environment, box[0] ?? 0n);
  }

  /** What the session's own memory on its device is allocated with. */
  deviceAllocator(memory: Handle<'memoryInfo'>): Handle<'allocator'> {
    return this.environment.library.make('CreateAllocator', this.handle, memory);
  }

  newBinding(): Handle<'binding'> {
    return this.environment.library.make('CreateIoBinding', this.handle);
  }

  release(): void {
    const release = (): void => {
      if (this.profiling) rmSync(this.endProfiling(), { force: true });
      this.environment.library.api.ReleaseSession(this.handle);
    };
    if (this.onGpu) releaseOnWebGpu(release);
    else release();
  }
}

/** On a GPU the first run is always profiled, to tell what its provider left to the processor. */
const isProfiled = ({ profile, device }: SessionSettings): boolean => Boolean(profile) || device === 'webgpu';

let profileFolder: string | undefined;
let profiles = 0;

/** Never the same twice: sessions that share a file spoil it. The folder goes with the process. */
function profilePrefix(): string {
  if (profileFolder === undefined) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-profile-'));
    process.once('exit', () => removeQuietly(folder));
    profileFolder = folder;
  }
  return path.join(profileFolder, String(profiles++));
}

function removeQuietly(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // A system that does not remove open files leaves a few small ones in its temporary folder.
  }
}

function takeText({ library, allocator }: Environment, pointer: bigint): string {
  const text = koffi.decode.string(pointer);
  library.api.AllocatorFree(allocator, pointer);
  return text;
}

function createSession(
  { library, handle }: Environment,
  bytes: Uint8Array,
  settings: Handle<'sessionOptions'>,
): Promise<Handle<'session'>> {
  return library.makeAsync('CreateSessionFromArray', handle, bytes, bytes.byteLength, settings);
}

/** @throws SurgeryError 'runtime-failed' when the device refuses. */
function settingsFor(environment: Environment, options: SessionSettings, label: string): Handle<'sessionOptions'> {
  try {
    return sessionOptions(environment, options);
  } catch (error) {
    throw runtimeError(error, `${label} cannot use ${options.device ?? 'the processor'}`);
  }
}

function sessionOptions({ library, threads, denormals }: Environment, options: SessionSettings): Handle<'sessionOptions'> {
  const { api, make } = library;
  const settings = make('CreateSessionOptions');
  api.SetSessionLogSeverityLevel(settings, LOG_FATAL);
  api.SetSessionGraphOptimizationLevel(settings, OPTIMISATION[options.optimisation ?? 'all']);
  api.AddSessionConfigEntry(settings, 'session.set_denormal_as_zero', denormals.active ? '1' : '0');
  if (options.threads === undefined || options.threads === threads) api.DisablePerSessionThreads(settings);
  else api.SetIntraOpNumThreads(settings, options.threads);
  if (options.lowMemory) {
    api.DisableCpuMemArena(settings);
    api.DisableMemPattern(settings);
  }
  if (options.onProcessor && options.onProcessor.length > 0)
    api.AddSessionConfigEntry(settings, 'ep.webgpuexecutionprovider.forceCpuNodeNames', options.onProcessor.join('\n'));
  // Within a budget nothing that was released may stay in a cache. The first session of a process decides for its device.
  if (options.device === 'webgpu' && options.memory)
    api.AddSessionConfigEntry(settings, 'ep.webgpuexecutionprovider.storageBufferCacheMode', 'disabled');
  if (options.device === 'webgpu') api.SessionOptionsAppendExecutionProvider(settings, 'WebGPU', null, null, 0);
  if (isProfiled(options)) api.EnableProfiling(settings, profilePrefix());
  return settings;
}

const cancelled = (label: string): SurgeryError => new SurgeryError('cancelled', `The run of ${label} was cancelled`);

/** onnxruntime's message on one line, without the file and function names that some start with. */
export function runtimeError(error: unknown, what: string): SurgeryError {
  if (error instanceof SurgeryError) return error;
  const message = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
  const shown = message.length > 400 ? `${message.slice(0, 400)}…` : message;
  return new SurgeryError(
    'runtime-failed',
    `${what}: ${shown}`,
    error instanceof OrtError ? { ortCode: error.code, call: error.call } : {},
  );
}

import type { Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import type { ChannelCosts } from '../ops/channelCosts';
import type { CostEntry } from '../ops/costTable';
import type { MeasuredMemory, MemoryPolicy, PoolTrace, WorkspaceMode } from '../contract/memory';
import type { Schedule } from '../memory/schedule';

/** Runs a training graph within a pool of planned memory. */
export interface MemoryOptions {
  /** Bytes of the pool; as many as the policy needs when left out. */
  readonly budget?: number;
  /** 'auto' by default. */
  readonly policy?: MemoryPolicy;
  /** How gradients of convolutions are computed within the budget, on the processor; 'fixed' by default. */
  readonly workspace?: WorkspaceMode;
  /** A program that does not run meanwhile: what its pool holds only while it runs is the pool, in the place of a new one within `budget`. */
  readonly within?: Program;
  /** Folder of the spill file; the system's temporary folder by default. */
  readonly spillFolder?: string;
  /** Overwrites what is freed, to find uses after the end in tests. */
  readonly poison?: boolean;
}

export interface CompileOptions {
  readonly memory?: MemoryOptions;
  /** Threads within an operator; physical cores when left out. */
  readonly threads?: number;
  /** Free intermediate memory as soon as possible instead of keeping an arena. */
  readonly lowMemory?: boolean;
  /** Makes `profile()` available (runs slower). */
  readonly profile?: boolean;
  /** Told what a user should know of the compiled program, for example what its device leaves to the processor. */
  readonly log?: (message: string) => void;
  /** `id` of one of the runtime's devices; 'cpu' by default. */
  readonly device?: string;
  /** Graph optimisations of the backend; 'all' by default, 'none' for graphs in blocked layout. */
  readonly optimisation?: 'none' | 'basic' | 'extended' | 'all';
  /**
   * Outputs that become an input of the next run, as input by output (weights, state of an optimiser). A program that has `resident` keeps them
   * on the device: they are neither fed nor returned. The others ignore it.
   */
  readonly carry?: ReadonlyMap<string, string>;
}

export interface RunOptions {
  /** Ends the run between two operators; the promise rejects with SurgeryError 'cancelled'. */
  readonly signal?: AbortSignal;
  /** Tensors that outputs are written into, by output name; the result holds the same objects. */
  readonly into?: ReadonlyMap<string, Tensor>;
  /** Told what a pool of planned memory holds, several times a second. */
  readonly onPool?: (trace: PoolTrace) => void;
}

/** Values that stay on the device from run to run, by the name of the input that they are. */
export interface Resident {
  /** Whether a run that fails leaves some values renewed and others not. */
  readonly inPlace?: boolean;
  /** Copies values to the device. */
  write(values: ReadonlyMap<string, Tensor>): Promise<void>;
  /** Copies all of them back. */
  read(): Promise<Map<string, Tensor>>;
}

/** A compiled graph. Runs of one program do not overlap. */
export interface Program {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Feeds are read in place, without a copy, and must not change until the promise settles. */
  run(feeds: ReadonlyMap<string, Tensor>, options?: RunOptions): Promise<Map<string, Tensor>>;
  /** Milliseconds by operator type over all runs, when compiled with `profile`; ends the profiling. */
  profile?(): Map<string, number>;
  readonly resident?: Resident;
  /** What every run takes, where it is planned to the byte. */
  readonly schedule?: Pick<Schedule, 'poolBytes' | 'peakBytes' | 'spillBytes' | 'trafficBytes'>;
  /** What the last run really took of it. */
  readonly measured?: MeasuredMemory;
  dispose(): void;
}

export interface Device {
  readonly id: string;
  readonly description: string;
  readonly memoryBytes?: number;
}

/** Blocked kernels of a runtime: `block` channels lie side by side. A block of 1 means that they are not used, for `reason`. */
export interface BlockedKernels {
  readonly block: number;
  readonly reason?: string;
}

/** What `scalpel calibrate` measured on this machine. */
export interface KernelCosts {
  readonly formulations: readonly CostEntry[];
  readonly channels: ChannelCosts;
  /** Multiply-accumulates a second of the best convolution on one thread; about what a whole step reaches on all of them. */
  readonly macsPerSecond?: number;
}

/** A way to execute graphs on a device (DESIGN section 3). */
export interface Runtime {
  readonly name: string;
  readonly devices: readonly Device[];
  /** Where a graph goes that is compiled for no device in particular; the processor when left out. */
  readonly device?: string;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** Compiles the bytes of a model file as they are; errors name the model by `label`. */
  compileBytes(bytes: Uint8Array, options?: CompileOptions, label?: string): Promise<Program>;
  /** Looks for blocked kernels and tests them, once a process; left out by runtimes that have none. */
  blockedKernels?(): Promise<BlockedKernels>;
  /** Measurements of this machine where they were made. */
  kernelCosts?(): KernelCosts | undefined;
}

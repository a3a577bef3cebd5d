import type { Graph } from '../../graph/graph';
import { SurgeryError } from '../../graph/errors';
import type { BlockedKernels, CompileOptions, Device, KernelCosts, MemoryOptions, Program, Runtime } from '../runtime';
import { findBlockedKernels } from './blockedKernels';
import { CProgram } from './cProgram';
import { NCHWC } from '../../ops/nchwc';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { processorDevice } from './devices';
import { readKernelCosts } from './kernelCosts';
import { inWebGpuForms, refusedByWebGpu } from './webGpuForms';
import { openEnvironment, type Environment } from './environment';
import { ResidentProgram } from './residentProgram';
import { ScheduledGpuProgram } from './scheduledGpuProgram';
import { ScheduledProgram } from './scheduledProgram';
import { Session } from './session';
import { onWebGpu } from './webGpuQueue';

/** Blocked graphs gain nothing from onnxruntime's optimisation, which takes longer than linear time. */
const defaultsFor = (graph: Graph): CompileOptions => (graph.opsets.has(NCHWC) ? { optimisation: 'none' } : {});

/** onnxruntime through its C API: no copies, runs off the calling thread, cancel. */
export class CRuntime implements Runtime {
  readonly name: string;
  readonly devices: readonly Device[] = [processorDevice()];
  readonly #environment: Environment;
  #blocked: Promise<BlockedKernels> | undefined;

  /** @throws SurgeryError 'runtime-failed' when the platform has no library. */
  constructor() {
    this.#environment = openEnvironment();
    this.name = `onnxruntime ${this.#environment.library.version}`;
  }

  compile(
    graph: Graph,
    options: CompileOptions &
      ({ readonly device: 'webgpu'; readonly carry: ReadonlyMap<string, string> } | { readonly memory: MemoryOptions }),
  ): Promise<Program>;
  compile(graph: Graph, options?: CompileOptions & { readonly memory?: undefined }): Promise<CProgram>;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  async compile(graph: Graph, options: CompileOptions = {}): Promise<Program> {
    const { memory } = options;
    const onGpu = options.device === 'webgpu';
    if (memory && onGpu) return ScheduledGpuProgram.create(this.#environment, graph, { ...options, memory });
    if (memory) return ScheduledProgram.create(this.#environment, graph, { ...options, memory, ...this.#speed() });
    const bytes = encodeOnnx(onGpu ? inWebGpuForms(graph) : graph);
    const { carry } = options;
    const session = await this.#session(bytes, { ...defaultsFor(graph), ...options }, graph.name, onGpu ? refusedByWebGpu(graph) : []);
    if (!onGpu || !carry || carry.size === 0) return this.#program(session, options, graph.name);
    return onWebGpu(() => Promise.resolve(new ResidentProgram(this.#environment, session, graph, carry, options.log)));
  }

  async compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label = 'The model'): Promise<CProgram> {
    return this.#program(await this.#session(bytes, options, label), options, label);
  }

  #program(session: Session, { profile, log }: CompileOptions, label: string): CProgram {
    return new CProgram(this.#environment, session, label, profile, log);
  }

  #session(bytes: Uint8Array, options: CompileOptions, label: string, onProcessor: readonly string[] = []): Promise<Session> {
    const { device = 'cpu' } = options;
    if (device !== 'cpu' && device !== 'webgpu')
      throw new SurgeryError('option-invalid', `onnxruntime has no device ${device} here; use cpu or webgpu`);
    return Session.create(this.#environment, bytes, label, { ...options, onProcessor });
  }

  #speed(): Pick<KernelCosts, 'macsPerSecond'> {
    return { macsPerSecond: this.kernelCosts()?.macsPerSecond };
  }

  kernelCosts(): KernelCosts | undefined {
    return readKernelCosts(this.name);
  }

  blockedKernels(): Promise<BlockedKernels> {
    this.#blocked ??= findBlockedKernels(this);
    return this.#blocked;
  }
}

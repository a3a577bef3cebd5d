import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { FallbackProgram } from './fallbackProgram';
import type { CompileOptions, Device, Program, Runtime } from './runtime';

/** Compiles for one device of a runtime. What the device refuses, or fails at while it runs, is done by the processor, with a message. */
export class DeviceRuntime implements Runtime {
  readonly name: string;
  readonly devices: readonly Device[];
  #lost = false;

  constructor(
    private readonly runtime: Runtime,
    /** `id` of one of the runtime's devices. */
    readonly device: string,
    private readonly processor: Runtime,
    private readonly log: (message: string) => void,
  ) {
    this.name = `${runtime.name} on ${device}`;
    this.devices = runtime.devices;
  }

  compile(graph: Graph, options: CompileOptions = {}): Promise<Program> {
    return this.#compile(options, (runtime, chosen) => runtime.compile(graph, chosen));
  }

  compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label?: string): Promise<Program> {
    return this.#compile(options, (runtime, chosen) => runtime.compileBytes(bytes, chosen, label));
  }

  async #compile(options: CompileOptions, compile: (runtime: Runtime, options: CompileOptions) => Promise<Program>): Promise<Program> {
    if (options.device && options.device !== this.device) return compile(this.runtime, options);
    const onProcessor = (): Promise<Program> => compile(this.processor, { ...options, device: 'cpu' });
    if (this.#lost) return onProcessor();
    try {
      const program = await compile(this.runtime, { ...options, device: this.device, log: options.log ?? this.log });
      const lost = (error: Error, steps: number): void => {
        this.#lost = true;
        const back = steps === 0 ? '' : ` from the weights of ${steps} steps before`;
        this.log(`${this.device} failed, the processor goes on${back}: ${error.message}`);
      };
      return new FallbackProgram(program, { compile: onProcessor, lost, carry: options.carry ?? new Map<string, string>() });
    } catch (error) {
      if (error instanceof SurgeryError && (error.code === 'budget-impossible' || error.code === 'cancelled')) throw error;
      this.log(`${this.device} refused, the processor is used: ${(error as Error).message}`);
      return onProcessor();
    }
  }
}

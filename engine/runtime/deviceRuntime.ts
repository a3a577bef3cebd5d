import type { Graph } from '../graph/graph';
import type { CompileOptions, Device, Program, Runtime } from './runtime';

/** Compiles for one device of a runtime; what the device refuses is compiled for the processor instead, with a message. */
export class DeviceRuntime implements Runtime {
  readonly name: string;
  readonly devices: readonly Device[];

  constructor(
    private readonly runtime: Runtime,
    private readonly device: string,
    private readonly log: (message: string) => void,
  ) {
    this.name = `${runtime.name} on ${device}`;
    this.devices = runtime.devices;
  }

  compile(graph: Graph, options: CompileOptions = {}): Promise<Program> {
    return this.#compile(options, (chosen) => this.runtime.compile(graph, chosen));
  }

  compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label?: string): Promise<Program> {
    return this.#compile(options, (chosen) => this.runtime.compileBytes(bytes, chosen, label));
  }

  async #compile(options: CompileOptions, compile: (options: CompileOptions) => Promise<Program>): Promise<Program> {
    if (options.device && options.device !== this.device) return compile(options);
    try {
      return await compile({ ...options, device: this.device, log: options.log ?? this.log });
    } catch (error) {
      this.log(`${this.device} refused, the processor is used: ${(error as Error).message}`);
      return compile({ ...options, device: 'cpu' });
    }
  }
}

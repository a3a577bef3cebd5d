import { SurgeryError } from '../graph/errors';
import type { Tensor } from '../graph/tensor';
import type { Program, Resident, RunOptions } from './runtime';

/** Weights that stay on a device are copied back at least this often, so that a device that is lost takes little along. */
const SNAPSHOT_MS = 30_000;

export interface Fallback {
  /** Compiles the same graph for the processor. */
  compile(): Promise<Program>;
  /** Told once, with the reason and how many steps were lost. */
  lost(error: Error, steps: number): void;
  /** Output that becomes each carried input, as in `CompileOptions.carry`. */
  readonly carry: ReadonlyMap<string, string>;
}

/** Whether an error tells of the device, rather than of what it was asked to do. */
export const isDeviceFailure = (error: unknown): error is Error =>
  error instanceof Error && (!(error instanceof SurgeryError) || error.code === 'runtime-failed');

/** A program on a device that may fail: then it goes on on the processor from the last weights that are known. */
export class FallbackProgram implements Program {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident | undefined;
  /** What is carried from run to run: as it was last known while the device works, then as it is. */
  #carried = new Map<string, Tensor>();
  #takenAt = performance.now();
  #stepsSince = 0;
  #replacement: Program | undefined;

  constructor(
    private readonly device: Program,
    private readonly fallback: Fallback,
  ) {
    this.inputs = device.inputs;
    this.outputs = device.outputs;
    this.resident = device.resident && { write: (values) => this.#write(values), read: () => this.#read() };
  }

  async run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    if (!this.#replacement)
      try {
        const results = await this.device.run(feeds, options);
        this.#stepsSince++;
        if (this.resident && performance.now() - this.#takenAt > SNAPSHOT_MS) await this.#read();
        return results;
      } catch (error) {
        if (!isDeviceFailure(error)) throw error;
        await this.#replace(error);
      }
    return this.#runReplacement(feeds, options);
  }

  async #replace(error: Error): Promise<void> {
    const { resident } = this.device;
    const rescued = resident?.inPlace ? undefined : await resident?.read().catch(() => undefined);
    if (rescued) this.#take(rescued);
    const replacement = await this.fallback.compile();
    this.fallback.lost(error, this.resident ? this.#stepsSince : 0);
    this.device.dispose();
    await replacement.resident?.write(this.#carried);
    this.#replacement = replacement;
  }

  async #runReplacement(feeds: ReadonlyMap<string, Tensor>, options: RunOptions): Promise<Map<string, Tensor>> {
    const program = this.#replacement as Program;
    if (!this.resident || program.resident) return program.run(feeds, options);
    const results = await program.run(new Map([...this.#carried, ...feeds]), options);
    for (const [output, input] of this.fallback.carry) {
      const value = results.get(output);
      if (value) this.#carried.set(input, value);
      results.delete(output);
    }
    return results;
  }

  async #write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    for (const [name, tensor] of values) this.#carried.set(name, { ...tensor, data: (tensor.data as Float32Array).slice() });
    this.#stepsSince = 0;
    if (!this.#replacement)
      try {
        await this.device.resident?.write(values);
        return;
      } catch (error) {
        if (!isDeviceFailure(error)) throw error;
        await this.#replace(error);
      }
    await this.#replacement?.resident?.write(values);
  }

  async #read(): Promise<Map<string, Tensor>> {
    if (!this.#replacement)
      try {
        return this.#take((await this.device.resident?.read()) ?? new Map<string, Tensor>());
      } catch (error) {
        if (!isDeviceFailure(error)) throw error;
        await this.#replace(error);
      }
    return (await this.#replacement?.resident?.read()) ?? new Map(this.#carried);
  }

  #take(values: Map<string, Tensor>): Map<string, Tensor> {
    this.#carried = new Map(values);
    this.#takenAt = performance.now();
    this.#stepsSince = 0;
    return values;
  }

  profile(): Map<string, number> {
    return (this.#replacement ?? this.device).profile?.() ?? new Map<string, number>();
  }

  dispose(): void {
    (this.#replacement ?? this.device).dispose();
  }
}

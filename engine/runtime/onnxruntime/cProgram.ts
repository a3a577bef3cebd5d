import { SurgeryError } from '../../graph/errors';
import type { Tensor } from '../../graph/tensor';
import type { Program, RunOptions } from '../runtime';
import { RunQueue } from '../runQueue';
import type { Environment } from './environment';
import type { Handle } from './library';
import { describeFallback, readProfile } from './profile';
import type { Frame, Session } from './session';
import { onWebGpu } from './webGpuQueue';
import { readValue, valueAt, ValueSlot, type PlacedTensor } from './values';

/** Inputs and outputs of a run that lie in memory of the caller's. */
export interface Placement {
  readonly inputs: ReadonlyMap<string, PlacedTensor>;
  readonly outputs: ReadonlyMap<string, PlacedTensor>;
}

/** A placement made ready for many runs: nothing is allocated or copied by a run. */
export interface Binding {
  run(signal?: AbortSignal): Promise<void>;
  release(): void;
}

/** A graph compiled by onnxruntime's C API. */
export class CProgram implements Program {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #queue: RunQueue;
  readonly #frame: Frame;
  readonly #inputSlots: readonly ValueSlot[];
  readonly #outputSlots: readonly ValueSlot[];
  #told = false;

  constructor(
    private readonly environment: Environment,
    private readonly session: Session,
    private readonly label: string,
    private readonly profiled = false,
    /** Told once what the device left to the processor. */
    private readonly log?: (message: string) => void,
  ) {
    this.inputs = session.inputs;
    this.outputs = session.outputs;
    this.#queue = new RunQueue(label);
    this.#frame = session.frame(this.inputs, this.outputs);
    this.#inputSlots = this.inputs.map((name) => new ValueSlot(environment, `Input ${name} of ${label}`));
    this.#outputSlots = this.outputs.map((name) => new ValueSlot(environment, `Output ${name} of ${label}`));
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    const frame = this.#frame;
    const pinned: Tensor[] = [];
    this.inputs.forEach((name, i) => {
      const tensor = feeds.get(name);
      if (!tensor) throw new SurgeryError('runtime-failed', `${this.label} needs the input ${name}`);
      pinned.push(tensor);
      frame.inputs[i] = this.#slot(this.#inputSlots, i).valueOf(tensor);
    });
    this.outputs.forEach((name, i) => {
      const tensor = into?.get(name);
      if (tensor) pinned.push(tensor);
      frame.outputs[i] = tensor ? this.#slot(this.#outputSlots, i).valueOf(tensor) : 0n;
    });
    try {
      await this.session.run(frame, signal);
      await this.#tellFallback();
      return new Map(this.outputs.map((name, i) => [name, into?.get(name) ?? this.#read(name, frame.outputs[i])]));
    } finally {
      this.#releaseOwnOutputs(into);
      pinned.length = 0;
    }
  }

  async #tellFallback(): Promise<void> {
    if (!this.session.onGpu || this.profiled || this.#told) return;
    this.#told = true;
    const file = await onWebGpu(() => Promise.resolve(this.session.endProfiling()));
    const message = describeFallback([file], this.label);
    if (message) this.log?.(message);
  }

  #slot(slots: readonly ValueSlot[], index: number): ValueSlot {
    const slot = slots[index];
    if (!slot) throw new SurgeryError('internal', `${this.label} has no slot ${index}`);
    return slot;
  }

  #read(name: string, value: bigint | undefined): Tensor {
    if (!value) throw new SurgeryError('runtime-failed', `${this.label} left its output ${name} empty`);
    return readValue(this.environment, value as Handle<'value'>, name);
  }

  #releaseOwnOutputs(into: RunOptions['into']): void {
    this.outputs.forEach((name, i) => {
      const value = this.#frame.outputs[i];
      if (value && !into?.has(name)) this.environment.library.api.ReleaseValue(value as Handle<'value'>);
      this.#frame.outputs[i] = 0n;
    });
  }

  /**
   * Prepares runs on tensors that lie in memory of the caller's (an arena, a file mapping), which must outlive the binding. An output may share
   * the memory of an input only where each element depends on the same element of that input: onnxruntime does not check.
   * @throws SurgeryError when a name is unknown or a place too small.
   */
  bind(placement: Placement): Binding {
    const frame = this.session.frame([...placement.inputs.keys()], [...placement.outputs.keys()]);
    const values: Handle<'value'>[] = [];
    const place = (tensors: ReadonlyMap<string, PlacedTensor>, slots: BigUint64Array): void => {
      let i = 0;
      for (const tensor of tensors.values()) {
        const value = valueAt(this.environment, tensor);
        values.push(value);
        slots[i++] = value;
      }
    };
    const queue = new RunQueue(`A binding of ${this.label}`);
    const release = (): void => values.splice(0).forEach((value) => this.environment.library.api.ReleaseValue(value));
    try {
      place(placement.inputs, frame.inputs);
      place(placement.outputs, frame.outputs);
    } catch (error) {
      release();
      throw error;
    }
    return {
      run: (signal) => queue.add(() => this.#queue.add(() => this.session.run(frame, signal))),
      release: () => queue.close(release),
    };
  }

  /** One run on tensors in memory of the caller's; `bind` is cheaper when it repeats. */
  async runAt(placement: Placement, signal?: AbortSignal): Promise<void> {
    const binding = this.bind(placement);
    try {
      await binding.run(signal);
    } finally {
      binding.release();
    }
  }

  profile(): Map<string, number> {
    return this.profiled ? readProfile(this.session.endProfiling()) : new Map<string, number>();
  }

  dispose(): void {
    this.#queue.close(() => {
      [...this.#inputSlots, ...this.#outputSlots].forEach((slot) => slot.release());
      this.session.release();
    });
  }
}

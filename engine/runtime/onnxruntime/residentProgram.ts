import { SurgeryError } from '../../graph/errors';
import type { Graph, NamedValue } from '../../graph/graph';
import { type Tensor, byteSize, elementCount, newArray } from '../../graph/tensor';
import { RunQueue } from '../runQueue';
import type { Program, Resident, RunOptions } from '../runtime';
import type { Environment } from './environment';
import type { Handle } from './library';
import { describeFallback } from './profile';
import type { Session } from './session';
import { ValueSlot, newValue } from './values';
import { onWebGpu, releaseOnWebGpu } from './webGpuQueue';

/** A carried value on the device: read from one place and written to the other, which then change roles. */
interface Carried {
  readonly input: NamedValue & { readonly dims: readonly number[] };
  readonly output: string;
  places: readonly [Handle<'value'>, Handle<'value'>];
}

const CPU_OUTPUT_MISSING = 'a size of it is not known before it runs';

/** A graph on the GPU whose carried values never leave it between runs; the other inputs and outputs are copied. */
export class ResidentProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident = this;
  /** Bytes that the carried values take on the device. */
  readonly bytes: number;
  readonly #queue: RunQueue;
  readonly #memory: Handle<'memoryInfo'>;
  readonly #allocator: Handle<'allocator'>;
  readonly #carried: readonly Carried[];
  readonly #slots: ReadonlyMap<string, ValueSlot>;
  readonly #results: ReadonlyMap<string, Tensor>;
  #binding: Handle<'binding'>;
  #told = false;

  /** To be made while the GPU's queue is held: it allocates there. */
  constructor(
    private readonly environment: Environment,
    private readonly session: Session,
    graph: Graph,
    carry: ReadonlyMap<string, string>,
    private readonly log?: (message: string) => void,
  ) {
    const kept = new Set(carry.values());
    this.inputs = session.inputs.filter((name) => !kept.has(name));
    this.outputs = session.outputs.filter((name) => !carry.has(name));
    this.#queue = new RunQueue(graph.name);
    const { library } = environment;
    this.#memory = library.make('CreateMemoryInfo', 'WebGPU_Buffer', 0, 0, 0);
    this.#allocator = session.deviceAllocator(this.#memory);
    this.#binding = session.newBinding();
    const inputs = new Map(graph.inputs.map((input) => [input.name, { ...input, dims: staticDims(input) }]));
    this.#carried = [...carry].map(([output, name]) => {
      const input = inputs.get(name);
      if (!input) throw new SurgeryError('graph-invalid', `${graph.name} has no input ${name} to carry ${output} into`);
      return { input, output, places: [newValue(environment, this.#allocator, input), newValue(environment, this.#allocator, input)] };
    });
    this.bytes = this.#carried.reduce((sum, { input }) => sum + 2 * byteSize(input.type, elementCount(input.dims)), 0);
    const copied = [...this.inputs, ...this.outputs];
    this.#slots = new Map(copied.map((name) => [name, new ValueSlot(environment, `${name} of ${graph.name}`)]));
    this.#results = new Map(graph.outputs.filter(({ name }) => !carry.has(name)).map((output) => [output.name, emptyTensor(output)]));
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => onWebGpu(() => this.#run(feeds, options)));
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    const { api } = this.environment.library;
    const results = new Map(this.outputs.map((name) => [name, into?.get(name) ?? (this.#results.get(name) as Tensor)]));
    for (const { input, output, places } of this.#carried) {
      api.BindInput(this.#binding, input.name, places[0]);
      api.BindOutput(this.#binding, output, places[1]);
    }
    for (const name of this.inputs) {
      const tensor = feeds.get(name);
      if (!tensor) throw new SurgeryError('runtime-failed', `The program needs the input ${name}`);
      api.BindInput(this.#binding, name, this.#valueOf(name, tensor));
    }
    for (const [name, tensor] of results) api.BindOutput(this.#binding, name, this.#valueOf(name, tensor));
    await this.session.runBound(this.#binding, signal);
    for (const carried of this.#carried) carried.places = [carried.places[1], carried.places[0]];
    this.#tellFallback();
    return into
      ? results
      : new Map([...results].map(([name, tensor]) => [name, { ...tensor, data: (tensor.data as Float32Array).slice() }]));
  }

  #valueOf(name: string, tensor: Tensor): Handle<'value'> {
    return (this.#slots.get(name) as ValueSlot).valueOf(tensor);
  }

  #tellFallback(): void {
    if (this.#told) return;
    this.#told = true;
    this.log?.(`WebGPU keeps ${(this.bytes / 2 ** 20).toFixed(1)} MiB of weights and optimiser state on the device`);
    const message = describeFallback([this.session.endProfiling()], 'WebGPU');
    if (message) this.log?.(message);
  }

  write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    return this.#queue.add(() =>
      onWebGpu(async () => {
        const given = this.#carried.filter(({ input }) => values.has(input.name));
        await this.#copy(
          given.map(({ input }) => values.get(input.name) as Tensor),
          given,
          'write',
        );
      }),
    );
  }

  read(): Promise<Map<string, Tensor>> {
    return this.#queue.add(() =>
      onWebGpu(async () => {
        const tensors = this.#carried.map(({ input }) => emptyTensor(input));
        await this.#copy(tensors, this.#carried, 'read');
        return new Map(this.#carried.map(({ input }, i) => [input.name, tensors[i] as Tensor]));
      }),
    );
  }

  async #copy(host: readonly Tensor[], device: readonly Carried[], direction: 'write' | 'read'): Promise<void> {
    const { library, handle } = this.environment;
    const slots = host.map(() => new ValueSlot(this.environment, 'A carried value'));
    try {
      const near = BigUint64Array.from(host, (tensor, i) => (slots[i] as ValueSlot).valueOf(tensor));
      const far = BigUint64Array.from(device, ({ places }) => places[0]);
      const [from, to] = direction === 'write' ? [near, far] : [far, near];
      if (host.length > 0) await library.callAsync('CopyTensors', handle, from, to, null, host.length);
    } finally {
      slots.forEach((slot) => slot.release());
    }
  }

  dispose(): void {
    this.#queue.close(() => releaseOnWebGpu(() => this.#release()));
  }

  /** Values, binding, allocator, session: the order that onnxruntime wants. */
  #release(): void {
    const { api } = this.environment.library;
    this.#slots.forEach((slot) => slot.release());
    for (const { places } of this.#carried) places.forEach((value) => api.ReleaseValue(value));
    api.ReleaseIoBinding(this.#binding);
    api.ReleaseAllocator(this.#allocator);
    api.ReleaseMemoryInfo(this.#memory);
    this.session.release();
  }
}

function staticDims({ name, shape }: NamedValue): readonly number[] {
  if (!shape?.every((d) => typeof d === 'number'))
    throw new SurgeryError('shape-mismatch', `${name} cannot stay on the device: ${CPU_OUTPUT_MISSING}`);
  return shape;
}

function emptyTensor(value: NamedValue): Tensor {
  const dims = staticDims(value);
  return { type: value.type, dims, data: newArray(value.type, elementCount(dims)) };
}

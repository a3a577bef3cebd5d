import { setImmediate } from 'node:timers/promises';
import { SurgeryError } from '../../graph/errors';
import { type Graph, feedsOf } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { type LoweredGraph, type ValuePlace, lowerGraph } from '../../memory/lowerGraph';
import { planOrExplain } from '../../memory/plan';
import type { MemoryProgram, Operation } from '../../memory/program';
import type { Schedule, Step } from '../../memory/schedule';
import { withWorkspaces } from '../../memory/workspaces';
import type { TfjsModule } from '../../ops/opRecord';
import type { MeasuredMemory } from '../../contract/memory';
import { type HostTier, HostFile, HostMemory } from '../hostTier';
import { RunQueue } from '../runQueue';
import type { MemoryOptions, Program, Resident, RunOptions } from '../runtime';
import { Transfers } from '../transfers';
import { measureWorkspaces } from './measureWorkspaces';
import { type Operator, operatorOf } from './operators';
import { StorageValues } from './storageValues';
import { TURN_MS } from './tfjsProgram';
import { deviceBytes, download, upload } from './tensors';

export interface ScheduledOptions {
  readonly memory: MemoryOptions;
  readonly carry?: ReadonlyMap<string, string>;
  /** Whether the device has a memory of its own, so that the host's is another tier. */
  readonly ownMemory: boolean;
}

/** What is in the host's tier. */
interface Away {
  readonly dims: readonly number[];
  readonly type: 'float32' | 'int32' | 'bool';
  readonly isLast: boolean;
}

/**
 * A training graph run by tfjs as a memory schedule says: every tensor is disposed where the plan frees it, what has no room is downloaded and
 * uploaded again, or computed again. Weights and state stay on the device from run to run.
 */
export class ScheduledTfjsProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident = this;
  readonly inPlace = true;
  readonly #queue: RunQueue;
  readonly #values: StorageValues;
  readonly #carried: readonly string[];
  readonly #away = new Map<number, Away>();
  readonly #transfers = new Transfers();

  private constructor(
    private readonly tf: TfjsModule,
    private readonly graph: Graph,
    private readonly lowered: LoweredGraph,
    /** The lowered program with the workspaces that kernels need, and its schedule. */
    readonly program: MemoryProgram,
    readonly schedule: Schedule,
    private readonly operators: readonly Operator[],
    carry: ReadonlyMap<string, string>,
    private readonly host: HostTier | undefined,
  ) {
    this.#carried = [...new Set(carry.values())];
    this.inputs = feedsOf(graph)
      .map(({ name }) => name)
      .filter((name) => !this.#carried.includes(name));
    this.outputs = graph.outputs.map(({ name }) => name).filter((name) => !carry.has(name));
    this.#queue = new RunQueue(graph.name);
    this.#values = new StorageValues(tf, graph, lowered);
    for (const [storage, tensor] of lowered.constants)
      this.#values.set(storage, upload(tf, tensor, lowered.program.storages[storage]?.name ?? ''));
  }

  /** @throws SurgeryError 'budget-impossible' when the budget does not hold the graph */
  static async create(tf: TfjsModule, graph: Graph, options: ScheduledOptions): Promise<ScheduledTfjsProgram> {
    const { memory, carry = new Map<string, string>(), ownMemory } = options;
    const lowered = lowerGraph(graph, { carry, bytesOf: deviceBytes, inPlace: false });
    const operators = lowered.nodes.map((node) => operatorOf(node, graph));
    const program = withWorkspaces(lowered.program, await measureWorkspaces(tf, graph, lowered, operators));
    const schedule = planOrExplain(program, memory.policy ?? 'auto', memory.budget);
    const { spillBytes } = schedule;
    const host = spillBytes === 0 ? undefined : ownMemory ? new HostMemory(spillBytes) : new HostFile(spillBytes, memory.spillFolder);
    return new ScheduledTfjsProgram(tf, graph, lowered, program, schedule, operators, carry, host);
  }

  get measured(): MeasuredMemory {
    return this.#transfers.measured;
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    return this.#queue.add(() => {
      for (const [name, tensor] of values) this.#put(name, { ...tensor, data: (tensor.data as Float32Array).slice() });
      return Promise.resolve();
    });
  }

  read(): Promise<Map<string, Tensor>> {
    return this.#queue.add(async () => {
      const result = new Map<string, Tensor>();
      for (const name of this.#carried) if (this.lowered.places.has(name)) result.set(name, await this.#get(name));
      return result;
    });
  }

  dispose(): void {
    this.#queue.close(() => {
      this.#values.disposeAll();
      this.host?.close();
    });
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    this.#transfers.reset();
    try {
      for (const name of this.inputs) {
        const tensor = feeds.get(name);
        if (!tensor) throw new SurgeryError('runtime-failed', `${this.graph.name} needs the input ${name}`);
        this.#put(name, tensor);
      }
      await this.#runSteps(signal);
      const results = new Map<string, Tensor>();
      for (const name of this.outputs) results.set(name, await this.#get(name, into?.get(name)));
      for (const { from, to } of this.lowered.copies) this.#values.set(to, this.#values.take(from));
      return results;
    } finally {
      await this.#transfers.settle();
      this.#values.disposeAll((storage) => this.program.storages[storage]?.pinned ?? false);
    }
  }

  async #runSteps(signal: AbortSignal | undefined): Promise<void> {
    let turn = performance.now();
    for (const step of this.schedule.steps) {
      if (signal?.aborted) throw new SurgeryError('cancelled', `The run of ${this.graph.name} was cancelled`);
      const waiting = this.#runStep(step);
      if (waiting) await waiting;
      if (performance.now() - turn < TURN_MS) continue;
      await setImmediate();
      turn = performance.now();
    }
  }

  #runStep(step: Step): Promise<void> | undefined {
    switch (step.kind) {
      case 'allocate':
        return undefined;
      case 'free':
        this.#values.dispose(step.storage);
        return undefined;
      case 'run':
        this.#values.run(this.operators[step.operation] as Operator, this.program.operations[step.operation] as Operation, step.only);
        return undefined;
      case 'store':
        this.#begin(step.storage, this.#store(step.storage, step.position));
        return undefined;
      case 'fetch':
        this.#begin(step.storage, this.#fetch(step.storage, step.position));
        return undefined;
      case 'stored':
      case 'fetched':
        return this.#transfers.finish(step.storage);
      case 'replace':
        throw new SurgeryError('internal', 'tfjs writes every result into memory of its own');
    }
  }

  async #store(storage: number, position: number): Promise<void> {
    const tensor = this.#values.tensor(storage);
    const data = (await tensor.data()) as Float32Array;
    await this.host?.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    const isLast = 'channelsLast' in this.#values.result(storage);
    this.#away.set(storage, { dims: tensor.shape, type: tensor.dtype as 'float32' | 'int32' | 'bool', isLast });
  }

  async #fetch(storage: number, position: number): Promise<void> {
    const { dims, type, isLast } = this.#away.get(storage) as Away;
    const bytes = await this.host?.read(this.program.storages[storage]?.bytes ?? 0, position);
    const data =
      type === 'bool' ? bytes : new (type === 'int32' ? Int32Array : Float32Array)(bytes?.buffer as ArrayBuffer, bytes?.byteOffset);
    const tensor = this.tf.tensor(data as Float32Array, [...dims], type);
    this.#values.set(storage, isLast ? { channelsLast: tensor } : tensor);
  }

  #begin(storage: number, moved: Promise<void>): void {
    this.#transfers.begin(storage, this.program.storages[storage]?.bytes ?? 0, moved);
  }

  #put(name: string, tensor: Tensor): void {
    const place = this.lowered.places.get(name);
    if (!place) return;
    if (tensor.dims.join() !== place.dims.join())
      throw new SurgeryError(
        'shape-mismatch',
        `Input ${name} of ${this.graph.name} is [${tensor.dims.join(', ')}], not [${place.dims.join(', ')}]`,
      );
    this.#values.set(place.storage, upload(this.tf, tensor, `Input ${name}`));
  }

  async #get(name: string, into?: Tensor): Promise<Tensor> {
    const { storage, type } = this.lowered.places.get(name) as ValuePlace;
    const tensor = this.tf.tidy(() => this.#values.value(name).plain());
    try {
      return await download(tensor, type, name, into);
    } finally {
      if (tensor !== this.#values.tensor(storage)) tensor.dispose();
    }
  }
}

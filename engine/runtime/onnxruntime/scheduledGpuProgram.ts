import { SurgeryError } from '../../graph/errors';
import { type Graph, type Node, feedsOf } from '../../graph/graph';
import { type Tensor, byteSize, elementCount, newArray } from '../../graph/tensor';
import { type LoweredGraph, type ValuePlace, lowerGraph } from '../../memory/lowerGraph';
import { planOrExplain } from '../../memory/plan';
import type { MemoryProgram, Operation } from '../../memory/program';
import type { Schedule, Step } from '../../memory/schedule';
import { withWorkspaces } from '../../memory/workspaces';
import type { MeasuredMemory } from '../../contract/memory';
import { RunQueue } from '../runQueue';
import type { CompileOptions, MemoryOptions, Program, Resident, RunOptions } from '../runtime';
import { Transfers } from '../transfers';
import { DeviceBuffers } from './deviceBuffers';
import type { Environment } from './environment';
import type { Handle } from './library';
import { type OperatorSession, OperatorSessions } from './operatorSessions';
import { describeFallback } from './profile';
import type { Frame } from './session';
import { inWebGpuForms } from './webGpuForms';
import { onWebGpu, releaseOnWebGpu } from './webGpuQueue';

/** Number of the buffer that new weights are written into before they take the old ones' place. */
const fresh = (storage: number): number => -1 - storage;

/**
 * A training graph run operator by operator on the GPU as a memory schedule says: a buffer for each storage, made and released where the plan says;
 * what has no room is copied to the host's memory, or computed again. Weights and state stay on the device from run to run.
 */
export class ScheduledGpuProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident = this;
  readonly inPlace = true;
  readonly #queue: RunQueue;
  readonly #carried: readonly string[];
  readonly #spilled = new Map<number, Tensor>();
  readonly #transfers = new Transfers();
  #told = false;

  private constructor(
    private readonly environment: Environment,
    private readonly graph: Graph,
    private readonly lowered: LoweredGraph,
    readonly program: MemoryProgram,
    readonly schedule: Schedule,
    private readonly sessions: OperatorSessions,
    private readonly operators: readonly OperatorSession[],
    readonly buffers: DeviceBuffers,
    carry: ReadonlyMap<string, string>,
    private readonly log?: (message: string) => void,
  ) {
    this.#carried = [...new Set(carry.values())].filter((name) => lowered.places.has(name));
    const kept = new Set(carry.values());
    this.inputs = feedsOf(graph)
      .map(({ name }) => name)
      .filter((name) => !kept.has(name));
    this.outputs = graph.outputs.map(({ name }) => name).filter((name) => !carry.has(name));
    this.#queue = new RunQueue(graph.name);
  }

  /** @throws SurgeryError 'budget-impossible' before anything is allocated when the budget does not hold the graph */
  static async create(
    environment: Environment,
    original: Graph,
    options: CompileOptions & { memory: MemoryOptions },
  ): Promise<ScheduledGpuProgram> {
    const { memory, carry = new Map<string, string>(), log } = options;
    const graph = inWebGpuForms(original);
    const lowered = lowerGraph(graph, { carry, inPlace: false });
    const program = withWorkspaces(
      lowered.program,
      lowered.program.operations.map((operation) => freshBytes(lowered.program, operation)),
    );
    const schedule = planOrExplain(program, memory.policy ?? 'auto', memory.budget);
    const sessions = new OperatorSessions(environment, graph, lowered.places, options);
    try {
      const operators = await sessions.openAll(lowered.nodes);
      const [first] = operators;
      if (!first) throw new SurgeryError('graph-invalid', `${graph.name} has no operators`);
      return await onWebGpu(async () => {
        const buffers = new DeviceBuffers(environment, first.session);
        const result = new ScheduledGpuProgram(environment, graph, lowered, program, schedule, sessions, operators, buffers, carry, log);
        for (const [storage, tensor] of lowered.constants) await result.#fill(storage, tensor);
        return result;
      });
    } catch (error) {
      await sessions.release();
      throw error;
    }
  }

  get measured(): MeasuredMemory {
    return { peakBytes: this.buffers.peakBytes, ...this.#transfers.measured };
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => onWebGpu(() => this.#run(feeds, options)));
  }

  write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    return this.#queue.add(() =>
      onWebGpu(async () => {
        for (const [name, tensor] of values) await this.#put(name, tensor);
      }),
    );
  }

  read(): Promise<Map<string, Tensor>> {
    return this.#queue.add(() =>
      onWebGpu(async () => {
        const result = new Map<string, Tensor>();
        for (const name of this.#carried) result.set(name, await this.#get(name));
        return result;
      }),
    );
  }

  dispose(): void {
    this.#queue.close(() => {
      releaseOnWebGpu(() => this.buffers.release());
      void this.sessions.release();
    });
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    const { storages } = this.program;
    this.#transfers.reset();
    try {
      for (const name of this.inputs) {
        const tensor = feeds.get(name);
        if (!tensor) throw new SurgeryError('runtime-failed', `${this.graph.name} needs the input ${name}`);
        await this.#put(name, tensor);
      }
      for (const step of this.schedule.steps) await this.#act(step, signal);
      const results = new Map<string, Tensor>();
      for (const name of this.outputs) results.set(name, await this.#get(name, into?.get(name)));
      for (const { from, to } of this.lowered.copies) this.buffers.rename(from, to);
      await this.#tellFallback();
      return results;
    } finally {
      this.#spilled.clear();
      storages.forEach(({ pinned }, storage) => {
        if (!pinned) this.buffers.free(storage);
      });
    }
  }

  async #act(step: Step, signal: AbortSignal | undefined): Promise<void> {
    switch (step.kind) {
      case 'allocate':
        // Pinned storages and inputs are there already, and a workspace is not one buffer: it stands for what `#call` needs beside the others.
        return;
      case 'free':
        this.buffers.free(step.storage);
        return;
      case 'run':
        return this.#call(step.operation, step.only, signal);
      case 'store':
        return this.#move(step.storage, this.#store(step.storage));
      case 'fetch':
        return this.#move(step.storage, this.#fill(step.storage, this.#spilled.get(step.storage) as Tensor));
      case 'stored':
      case 'fetched':
        return;
      case 'replace':
        throw new SurgeryError('internal', 'On the GPU every result has a buffer of its own');
    }
  }

  /** The device does one thing at a time, so that it waits for every copy. */
  async #move(storage: number, copy: Promise<void>): Promise<void> {
    this.#transfers.begin(storage, this.program.storages[storage]?.bytes ?? 0, copy);
    await this.#transfers.finish(storage);
  }

  async #call(index: number, only: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { writes } = this.program.operations[index] as Operation;
    const { session, inputs, outputs } = this.operators[index] as OperatorSession;
    const wanted = writes.flatMap((storage, i) => (storage !== undefined && (only === undefined || storage === only) ? [i] : []));
    if (wanted.length === 0) return;
    const frame: Frame = session.frame(
      inputs.map((_, i) => `x${i}`),
      wanted.map((i) => `y${i}`),
    );
    const renewed: number[] = [];
    inputs.forEach((name, i) => (frame.inputs[i] = this.#view(name)));
    wanted.forEach((i, at) => {
      const storage = writes[i] as number;
      const pinned = this.#isPinned(storage);
      if (pinned) renewed.push(storage);
      const target = pinned ? fresh(storage) : storage;
      this.buffers.allocate(target, this.program.storages[storage]?.bytes ?? 0);
      frame.outputs[at] = this.#view((this.lowered.nodes[index] as Node).outputs[i] ?? outputs[i] ?? '', target);
    });
    try {
      await session.runHeld(frame, signal);
    } finally {
      for (const value of [...frame.inputs, ...frame.outputs])
        if (value) this.environment.library.api.ReleaseValue(value as Handle<'value'>);
    }
    for (const storage of renewed) this.buffers.rename(fresh(storage), storage);
  }

  #isPinned(storage: number): boolean {
    return this.program.storages[storage]?.pinned ?? false;
  }

  #view(name: string, buffer?: number): Handle<'value'> {
    const { storage, type, dims } = this.lowered.places.get(name) as ValuePlace;
    return this.buffers.view(buffer ?? storage, type, dims);
  }

  async #store(storage: number): Promise<void> {
    const { bytes = 0 } = this.program.storages[storage] ?? {};
    const tensor: Tensor = { type: 'uint8', dims: [bytes], data: new Uint8Array(bytes) };
    await this.buffers.download(storage, tensor);
    this.#spilled.set(storage, tensor);
  }

  async #fill(storage: number, tensor: Tensor): Promise<void> {
    if (!this.buffers.has(storage)) this.buffers.allocate(storage, this.program.storages[storage]?.bytes ?? 0);
    await this.buffers.upload(storage, tensor);
  }

  async #put(name: string, tensor: Tensor): Promise<void> {
    const place = this.lowered.places.get(name);
    if (!place) return;
    if (byteSize(tensor.type, elementCount(tensor.dims)) !== this.program.storages[place.storage]?.bytes)
      throw new SurgeryError(
        'shape-mismatch',
        `Input ${name} of ${this.graph.name} is ${tensor.type} [${tensor.dims.join(', ')}], not ${place.type} [${place.dims.join(', ')}]`,
      );
    await this.#fill(place.storage, tensor);
  }

  async #get(name: string, into?: Tensor): Promise<Tensor> {
    const { storage, type, dims } = this.lowered.places.get(name) as ValuePlace;
    const tensor = into ?? { type, dims, data: newArray(type, elementCount(dims)) };
    await this.buffers.download(storage, tensor);
    return tensor;
  }

  async #tellFallback(): Promise<void> {
    if (this.#told) return;
    this.#told = true;
    const held = (this.buffers.peakBytes / 2 ** 20).toFixed(1);
    this.log?.(`WebGPU held at most ${held} MiB in a step, of ${(this.schedule.poolBytes / 2 ** 20).toFixed(1)} MiB planned`);
    const message = describeFallback(await this.sessions.endProfiling(), 'WebGPU');
    if (message) this.log?.(message);
  }
}

/** Bytes of the weights and state that an operation renews: the old ones are there until the new ones are. */
const freshBytes = ({ storages }: MemoryProgram, { writes }: Operation): number =>
  writes.reduce((sum: number, id) => sum + (id !== undefined && storages[id]?.pinned ? storages[id].bytes : 0), 0);

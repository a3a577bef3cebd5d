import buffer from 'node:buffer';
import koffi from 'koffi';
import { SurgeryError } from '../../graph/errors';
import type { Graph, Node } from '../../graph/graph';
import { type Tensor, bytesOf, elementCount, newArray } from '../../graph/tensor';
import { type LoweredGraph, type ValuePlace, lowerGraph } from '../../memory/lowerGraph';
import { planOrExplain } from '../../memory/plan';
import type { Operation } from '../../memory/program';
import type { Schedule, Step } from '../../memory/schedule';
import type { CompileOptions, MemoryOptions, Program, Resident, RunOptions } from '../runtime';
import { RunQueue } from '../runQueue';
import { SpillFile } from '../spillFile';
import type { Environment } from './environment';
import type { Handle } from './library';
import { type OperatorSession, OperatorSessions } from './operatorSessions';
import type { Frame, Session } from './session';
import { valueAt } from './values';

/** A step that is ready to run: one call of an operator on fixed places. */
interface Call {
  readonly session: Session;
  readonly frame: Frame;
  readonly inputs: readonly bigint[];
  readonly outputs: readonly bigint[];
}

type Action =
  | { readonly kind: 'call'; readonly call: Call }
  | {
      readonly kind: 'store' | 'fetch';
      readonly storage: number;
      readonly offset: number;
      readonly bytes: number;
      readonly position: number;
    }
  | { readonly kind: 'await'; readonly storage: number }
  | { readonly kind: 'poison'; readonly offset: number; readonly bytes: number };

/**
 * A training graph run operator by operator in a pool of fixed size (SuperNeurons' unified tensor pool): every value has its place
 * in memory that we own, kernels write into it, and what does not fit leaves for a file or is computed again, as the schedule says.
 * Weights and state stay in the pool from run to run (`resident`).
 */
export class ScheduledProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident = this;
  readonly inPlace = true;
  readonly #queue: RunQueue;
  readonly #pool: Buffer;
  readonly #base: bigint;
  readonly #actions: Action[] = [];
  readonly #handles = new Map<string, Handle<'value'>>();
  readonly #frames = new Map<string, Frame>();
  /** Offset of every pinned storage and of the inputs; offsets of the outputs at the end. */
  readonly #startOffsets = new Map<number, number>();
  readonly #endOffsets = new Map<number, number>();
  readonly #pending = new Map<number, Promise<void>>();
  #spill: SpillFile | undefined;

  private constructor(
    private readonly environment: Environment,
    private readonly lowered: LoweredGraph,
    readonly schedule: Schedule,
    private readonly sessions: OperatorSessions,
    private readonly graph: Graph,
    private readonly carry: ReadonlyMap<string, string>,
    private readonly options: MemoryOptions,
  ) {
    const kept = new Set(carry.values());
    this.inputs = graph.inputs.map(({ name }) => name).filter((name) => !kept.has(name) && !graph.initializers.has(name));
    this.outputs = graph.outputs.map(({ name }) => name).filter((name) => !carry.has(name));
    this.#queue = new RunQueue(graph.name);
    this.#pool = allocatePool(schedule.poolBytes);
    this.#base = koffi.address(this.#pool);
  }

  /** @throws SurgeryError 'budget-impossible' before anything is allocated when the budget does not hold the graph */
  static async create(
    environment: Environment,
    graph: Graph,
    options: CompileOptions & { memory: MemoryOptions },
  ): Promise<ScheduledProgram> {
    const { memory, carry = new Map<string, string>() } = options;
    const lowered = lowerGraph(graph, { carry });
    const schedule = planOrExplain(lowered.program, memory.policy ?? 'auto', memory.budget);
    const sessions = new OperatorSessions(environment, graph, lowered.places, options);
    const program = new ScheduledProgram(environment, lowered, schedule, sessions, graph, carry, memory);
    try {
      await program.#prepare();
      if (schedule.spillBytes > 0) program.#spill = SpillFile.open(schedule.spillBytes, memory.spillFolder);
    } catch (error) {
      await program.#release();
      throw error;
    }
    return program;
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  /** Copies weights and state into the pool. */
  async write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    await this.#queue.add(() => {
      for (const [name, tensor] of values) this.#put(name, tensor);
      return Promise.resolve();
    });
  }

  read(): Promise<Map<string, Tensor>> {
    const names = [...new Set(this.carry.values())];
    return this.#queue.add(() => Promise.resolve(new Map(names.map((name) => [name, this.#get(name, this.#startOffsets)]))));
  }

  dispose(): void {
    this.#queue.close(() => void this.#release());
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    for (const name of this.inputs) {
      const tensor = feeds.get(name);
      if (!tensor) throw new SurgeryError('runtime-failed', `${this.graph.name} needs the input ${name}`);
      this.#put(name, tensor);
    }
    try {
      for (const action of this.#actions) await this.#act(action, signal);
    } finally {
      await Promise.allSettled(this.#pending.values());
      this.#pending.clear();
    }
    const results = new Map(this.outputs.map((name) => [name, this.#get(name, this.#endOffsets, into?.get(name))]));
    for (const { from, to } of this.lowered.copies) this.#copy(from, to);
    return results;
  }

  #act(action: Action, signal: AbortSignal | undefined): Promise<void> | undefined {
    switch (action.kind) {
      case 'call': {
        const { session, frame, inputs, outputs } = action.call;
        frame.inputs.set(inputs);
        frame.outputs.set(outputs);
        return session.run(frame, signal);
      }
      case 'store':
      case 'fetch': {
        const { storage, offset, bytes, position } = action;
        const spill = this.#spill as SpillFile;
        this.#pending.set(
          storage,
          action.kind === 'store' ? spill.write(this.#pool, offset, bytes, position) : spill.read(this.#pool, offset, bytes, position),
        );
        return undefined;
      }
      case 'await': {
        const pending = this.#pending.get(action.storage);
        this.#pending.delete(action.storage);
        return pending;
      }
      case 'poison':
        this.#pool.fill(0xff, action.offset, action.offset + action.bytes);
        return undefined;
    }
  }

  /** Turns the schedule into calls on fixed places. */
  async #prepare(): Promise<void> {
    const opened: OperatorSession[] = [];
    for (const node of this.lowered.nodes) opened.push(await this.sessions.open(node));
    const offsets = new Map<number, number>();
    let started = false;
    for (const step of this.schedule.steps) {
      if (step.kind === 'run' && !started) {
        started = true;
        for (const [storage, offset] of offsets) this.#startOffsets.set(storage, offset);
      }
      this.#prepareStep(step, offsets, opened);
    }
    for (const [storage, offset] of offsets) this.#endOffsets.set(storage, offset);
    for (const [storage, tensor] of this.lowered.constants) this.#pool.set(bytesOf(tensor), this.#startOffsets.get(storage));
  }

  #prepareStep(step: Step, offsets: Map<number, number>, opened: readonly OperatorSession[]): void {
    const bytesOfStorage = (storage: number): number => this.lowered.program.storages[storage]?.bytes ?? 0;
    const offsetOf = (storage: number): number => offsets.get(storage) as number;
    switch (step.kind) {
      case 'allocate':
        offsets.set(step.storage, step.offset);
        return;
      case 'free':
        if (this.options.poison)
          this.#actions.push({ kind: 'poison', offset: offsetOf(step.storage), bytes: bytesOfStorage(step.storage) });
        offsets.delete(step.storage);
        return;
      case 'replace':
        // The operator that follows still reads the old storage at the place that it shares with the new one.
        offsets.set(step.to, offsetOf(step.from));
        return;
      case 'store':
      case 'fetch':
        this.#actions.push({
          kind: step.kind,
          storage: step.storage,
          offset: offsetOf(step.storage),
          bytes: bytesOfStorage(step.storage),
          position: step.position,
        });
        return;
      case 'stored':
      case 'fetched':
        this.#actions.push({ kind: 'await', storage: step.storage });
        return;
      case 'run':
        this.#actions.push({
          kind: 'call',
          call: this.#callOf(step.operation, step.only, offsets, opened[step.operation] as OperatorSession),
        });
    }
  }

  #callOf(
    index: number,
    only: number | undefined,
    offsets: ReadonlyMap<number, number>,
    { session, inputs, outputs }: OperatorSession,
  ): Call {
    const { writes } = this.lowered.program.operations[index] as Operation;
    const node = this.lowered.nodes[index] as Node;
    const wanted = writes.flatMap((storage, i) => (storage !== undefined && (only === undefined || storage === only) ? [i] : []));
    const inputNames = inputs.map((_, i) => `x${i}`);
    const outputNames = wanted.map((i) => `y${i}`);
    return {
      session,
      frame: this.#frameOf(session, inputNames, outputNames),
      inputs: inputs.map((value) => this.#handleOf(value, offsets)),
      outputs: wanted.map((i) => this.#handleOf(outputs[i] ?? node.outputs[i] ?? '', offsets)),
    };
  }

  /** Frames hold names and pointers of one call at a time; calls that look alike share one. */
  #frameOf(session: Session, inputs: readonly string[], outputs: readonly string[]): Frame {
    const key = `${session.id}:${inputs.length}:${outputs.join()}`;
    const frame = this.#frames.get(key) ?? session.frame(inputs, outputs);
    this.#frames.set(key, frame);
    return frame;
  }

  #handleOf(value: string, offsets: ReadonlyMap<number, number>): bigint {
    const { storage, type, dims } = this.lowered.places.get(value) as ValuePlace;
    const offset = offsets.get(storage);
    if (offset === undefined) throw new SurgeryError('internal', `Value ${value} has no place in the pool`);
    const key = `${offset}:${type}:${dims.join()}`;
    let handle = this.#handles.get(key);
    if (handle === undefined) {
      const bytes = this.lowered.program.storages[storage]?.bytes ?? 0;
      handle = valueAt(this.environment, { type, dims, address: this.#base + BigInt(offset), bytes });
      this.#handles.set(key, handle);
    }
    return handle;
  }

  #put(name: string, tensor: Tensor): void {
    const place = this.lowered.places.get(name);
    const offset = place && this.#startOffsets.get(place.storage);
    if (!place || offset === undefined) return;
    const bytes = bytesOf(tensor);
    const expected = this.lowered.program.storages[place.storage]?.bytes;
    if (bytes.byteLength !== expected)
      throw new SurgeryError(
        'shape-mismatch',
        `Input ${name} of ${this.graph.name} holds ${bytes.byteLength} bytes; ${place.type} [${place.dims.join(', ')}] needs ${expected ?? 0}`,
      );
    this.#pool.set(bytes, offset);
  }

  #get(name: string, offsets: ReadonlyMap<number, number>, into?: Tensor): Tensor {
    const { storage, type, dims } = this.lowered.places.get(name) as ValuePlace;
    const offset = offsets.get(storage) as number;
    const tensor = into ?? { type, dims, data: newArray(type, elementCount(dims)) };
    const target = bytesOf(tensor);
    this.#pool.copy(target, 0, offset, offset + target.byteLength);
    return tensor;
  }

  #copy(from: number, to: number): void {
    const [source, target] = [this.#endOffsets.get(from) as number, this.#startOffsets.get(to) as number];
    this.#pool.copy(this.#pool, target, source, source + (this.lowered.program.storages[to]?.bytes ?? 0));
  }

  async #release(): Promise<void> {
    for (const handle of this.#handles.values()) this.environment.library.api.ReleaseValue(handle);
    this.#handles.clear();
    this.#spill?.close();
    await this.sessions.release();
  }
}

function allocatePool(bytes: number): Buffer {
  const { MAX_LENGTH } = buffer.constants;
  if (bytes > MAX_LENGTH)
    throw new SurgeryError(
      'budget-impossible',
      `A memory pool of ${bytes} bytes is more than one piece of memory can be here (${MAX_LENGTH}); give a smaller budget`,
    );
  return Buffer.allocUnsafeSlow(bytes);
}

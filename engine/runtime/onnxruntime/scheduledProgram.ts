import buffer from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import koffi from 'koffi';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { type Tensor, bytesOf, newArray, elementCount } from '../../graph/tensor';
import { type LoweredGraph, lowerGraph } from '../../memory/lowerGraph';
import { planOrExplain } from '../../memory/plan';
import { heldBytes } from '../../memory/pool';
import type { Schedule } from '../../memory/schedule';
import type { CompileOptions, MemoryOptions, Program, Resident, RunOptions } from '../runtime';
import type { MeasuredMemory, PoolTrace } from '../../contract/memory';
import { collectGarbage } from '../collectGarbage';
import { PoolMeter } from '../poolMeter';
import { RunQueue } from '../runQueue';
import { SpillFile } from '../spillFile';
import { Transfers } from '../transfers';
import type { Environment } from './environment';
import { OperatorSessions } from './operatorSessions';
import { ACTION, type Form, type PoolProgram, type Site, poolProgram } from './poolProgram';
import { ValueCache } from './valueCache';

/** How long short operators may follow each other before events are handled: the end of a transfer, a message, a cancellation. */
const TURN_MS = 4;

/** Where a value lies between iterations: in the pool, or else in the spill. */
interface Place {
  readonly offset?: number;
  readonly position?: number;
}

interface Location extends Place, Form {}

interface Copy {
  readonly from: number;
  readonly to: Place;
  readonly bytes: number;
}

/** What stays of a graph and its schedule once they are compiled: nothing that grows with the operators but the actions themselves. */
interface Compiled {
  readonly label: string;
  readonly inputs: ReadonlyMap<string, Location>;
  readonly outputs: ReadonlyMap<string, Location>;
  readonly carried: ReadonlyMap<string, Location>;
  readonly copies: readonly Copy[];
  readonly program: PoolProgram;
  /** The longest stretch of the pool in which nothing lies from run to run. */
  readonly spare: Stretch;
}

interface Stretch {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * A training graph run operator by operator in a pool of fixed size (SuperNeurons' unified tensor pool): every value has its place
 * in memory that we own, kernels write into it, and what does not fit leaves for a file or is computed again, as the schedule says.
 * Weights and state stay in the pool, or in the file, from run to run (`resident`).
 */
export class ScheduledProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident = this;
  readonly inPlace = true;
  readonly #queue: RunQueue;
  readonly #values: ValueCache;
  readonly #transfers = new Transfers();
  readonly #meter = new PoolMeter();

  private constructor(
    readonly schedule: Omit<Schedule, 'steps' | 'homes'>,
    private readonly compiled: Compiled,
    private readonly sessions: OperatorSessions,
    private readonly pool: Buffer,
    private readonly spill: SpillFile | undefined,
    environment: Environment,
  ) {
    this.inputs = [...compiled.inputs.keys()];
    this.outputs = [...compiled.outputs.keys()];
    this.#queue = new RunQueue(compiled.label);
    this.#values = new ValueCache(environment, koffi.address(pool), compiled.program.forms);
  }

  /** @throws SurgeryError 'budget-impossible' before anything is allocated when the budget does not hold the graph */
  static async create(
    environment: Environment,
    graph: Graph,
    options: CompileOptions & { memory: MemoryOptions; readonly macsPerSecond?: number },
  ): Promise<ScheduledProgram> {
    const { memory, carry = new Map<string, string>(), macsPerSecond } = options;
    const lowered = lowerGraph(graph, { carry, macsPerSecond });
    const lent = memory.within instanceof ScheduledProgram ? memory.within.spare : undefined;
    const { steps, homes, ...schedule } = planOrExplain(lowered.program, memory.policy ?? 'auto', lent?.byteLength ?? memory.budget);
    const sessions = new OperatorSessions(environment, graph, lowered.places, options);
    let spill: SpillFile | undefined;
    try {
      if (schedule.spillBytes > 0) spill = SpillFile.open(schedule.spillBytes, memory.spillFolder);
      const opened = await sessions.openAll(lowered.nodes);
      const program = poolProgram(lowered, { steps }, opened, memory.poison);
      const compiled = compile(graph, carry, lowered, program, { homes, ...schedule });
      collectGarbage();
      const result = new ScheduledProgram(schedule, compiled, sessions, lent ?? allocatePool(schedule.poolBytes), spill, environment);
      for (const [storage, tensor] of lowered.constants)
        await result.#write(placeOf(storage, program.startOffsets, homes), bytesOf(tensor));
      return result;
    } catch (error) {
      spill?.close();
      await sessions.release();
      throw error;
    }
  }

  get measured(): MeasuredMemory {
    return { peakBytes: this.#meter.peakBytes, ...this.#transfers.measured };
  }

  /** End of the highest place in the pool that an operator was given. */
  get extentBytes(): number {
    return this.#values.extentBytes;
  }

  /** The longest stretch of the pool that holds nothing between two runs. */
  get spare(): Buffer {
    const { offset, bytes } = this.compiled.spare;
    return this.pool.subarray(offset, offset + bytes);
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  /** Copies weights and state into the pool or the spill. */
  async write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    await this.#queue.add(async () => {
      for (const [name, tensor] of values) await this.#put(name, this.compiled.carried.get(name), tensor);
    });
  }

  read(): Promise<Map<string, Tensor>> {
    return this.#queue.add(async () => {
      const values = new Map<string, Tensor>();
      for (const [name, location] of this.compiled.carried) values.set(name, await this.#get(location));
      return values;
    });
  }

  dispose(): void {
    this.#queue.close(() => void this.#release());
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into, onPool }: RunOptions): Promise<Map<string, Tensor>> {
    for (const [name, location] of this.compiled.inputs) {
      const tensor = feeds.get(name);
      if (!tensor) throw new SurgeryError('runtime-failed', `${this.compiled.label} needs the input ${name}`);
      await this.#put(name, location, tensor);
    }
    this.#transfers.reset();
    try {
      await this.#perform(signal, onPool);
    } finally {
      await this.#transfers.settle();
    }
    const results = new Map<string, Tensor>();
    for (const [name, location] of this.compiled.outputs) results.set(name, await this.#get(location, into?.get(name)));
    for (const { from, to, bytes } of this.compiled.copies) await this.#write(to, this.pool.subarray(from, from + bytes));
    return results;
  }

  async #perform(signal: AbortSignal | undefined, onPool: ((trace: PoolTrace) => void) | undefined): Promise<void> {
    const { actions, sites } = this.compiled.program;
    const [meter, transfers] = [this.#meter, this.#transfers];
    meter.start(onPool);
    let turn = performance.now();
    for (let at = 0; at < actions.length;) {
      const [kind, first = 0, second = 0, bytes = 0, position = 0] = actions.subarray(at, at + 5);
      switch (kind) {
        case ACTION.call: {
          const { session, frame } = sites[first] as Site;
          at = this.#placeAll(frame.outputs, this.#placeAll(frame.inputs, at + 2));
          await session.run(frame, signal);
          this.#values.trim();
          meter.mark();
          if (performance.now() - turn < TURN_MS) break;
          await setImmediate();
          turn = performance.now();
          break;
        }
        case ACTION.store:
        case ACTION.fetch:
          transfers.begin(first, bytes, this.#spill[kind === ACTION.store ? 'write' : 'read'](this.pool, second, bytes, position));
          at += 5;
          break;
        case ACTION.await:
          await transfers.finish(first);
          at += 2;
          break;
        case ACTION.poison:
          this.pool.fill(0xff, first, first + second);
          at += 3;
          break;
        default:
          meter[kind === ACTION.hold ? 'hold' : 'release'](first);
          at += 2;
      }
    }
    meter.end();
  }

  /** Sets pointers to the places that the actions name from `at` on. @returns where they end */
  #placeAll(pointers: BigUint64Array, at: number): number {
    const { actions } = this.compiled.program;
    for (let i = 0; i < pointers.length; i++, at += 2) pointers[i] = this.#values.at(actions[at] as number, actions[at + 1] as number);
    return at;
  }

  get #spill(): SpillFile {
    if (!this.spill) throw new SurgeryError('internal', `${this.compiled.label} has no spill file`);
    return this.spill;
  }

  async #put(name: string, location: Location | undefined, tensor: Tensor): Promise<void> {
    if (!location) return;
    const bytes = bytesOf(tensor);
    if (bytes.byteLength !== location.bytes)
      throw new SurgeryError(
        'shape-mismatch',
        `Input ${name} of ${this.compiled.label} holds ${bytes.byteLength} bytes; ${location.type} [${location.dims.join(', ')}] needs ${location.bytes}`,
      );
    await this.#write(location, bytes);
  }

  async #write({ offset, position }: Place, bytes: Uint8Array): Promise<void> {
    if (offset !== undefined) this.pool.set(bytes, offset);
    else await this.#spill.write(bytes, 0, bytes.byteLength, position ?? 0);
  }

  async #get({ type, dims, bytes, offset, position }: Location, into?: Tensor): Promise<Tensor> {
    const tensor = into ?? { type, dims, data: newArray(type, elementCount(dims)) };
    const target = bytesOf(tensor);
    if (offset !== undefined) this.pool.copy(target, 0, offset, offset + bytes);
    else await this.#spill.read(target, 0, bytes, position ?? 0);
    return tensor;
  }

  async #release(): Promise<void> {
    this.#values.release();
    this.spill?.close();
    await this.sessions.release();
  }
}

function compile(
  graph: Graph,
  carry: ReadonlyMap<string, string>,
  { places, program: { storages }, copies }: LoweredGraph,
  program: PoolProgram,
  { homes, poolBytes }: Pick<Schedule, 'homes' | 'poolBytes'>,
): Compiled {
  const { startOffsets, endOffsets } = program;
  const locations = (names: Iterable<string>, offsets: ReadonlyMap<number, number>): Map<string, Location> => {
    const found = new Map<string, Location>();
    for (const name of names) {
      const place = places.get(name);
      if (!place) continue;
      const { storage, type, dims } = place;
      found.set(name, { type, dims, bytes: storages[storage]?.bytes ?? 0, ...placeOf(storage, offsets, homes) });
    }
    return found;
  };
  const kept = new Set(carry.values());
  const inputs = graph.inputs.map(({ name }) => name).filter((name) => !kept.has(name) && !graph.initializers.has(name));
  const outputs = graph.outputs.map(({ name }) => name).filter((name) => !carry.has(name));
  return {
    label: graph.name,
    inputs: locations(inputs, startOffsets),
    outputs: locations(outputs, endOffsets),
    carried: locations(kept, startOffsets),
    copies: copies.map(({ from, to }) => ({
      from: endOffsets.get(from) as number,
      to: placeOf(to, startOffsets, homes),
      bytes: storages[to]?.bytes ?? 0,
    })),
    program,
    spare: longestGap(
      [...startOffsets]
        .filter(([id]) => storages[id]?.pinned)
        .map(([id, offset]) => ({ offset, bytes: heldBytes(storages[id]?.bytes ?? 0) })),
      poolBytes,
    ),
  };
}

/** The longest stretch of a pool between those that are taken. */
function longestGap(taken: readonly Stretch[], poolBytes: number): Stretch {
  let longest: Stretch = { offset: 0, bytes: 0 };
  let end = 0;
  for (const { offset, bytes } of [...taken.toSorted((a, b) => a.offset - b.offset), { offset: poolBytes, bytes: 0 }]) {
    if (offset - end > longest.bytes) longest = { offset: end, bytes: offset - end };
    end = offset + bytes;
  }
  return longest;
}

const placeOf = (storage: number, offsets: ReadonlyMap<number, number>, homes: Schedule['homes']): Place =>
  homes.has(storage) ? { position: homes.get(storage) } : { offset: offsets.get(storage) };

function allocatePool(bytes: number): Buffer {
  const { MAX_LENGTH } = buffer.constants;
  if (bytes > MAX_LENGTH)
    throw new SurgeryError(
      'budget-impossible',
      `A memory pool of ${bytes} bytes is more than one piece of memory can be here (${MAX_LENGTH}); give a smaller budget`,
    );
  return Buffer.allocUnsafeSlow(bytes);
}

import { SurgeryError } from '../graph/errors';
import { EvictionQueue } from './evictionQueue';
import type { Fit } from './segments';
import { BLOCK_BYTES, Pool, Tally, blocksOf } from './pool';
import { type MemoryProgram, type Operation, type Storage, usesOf } from './program';
import type { MemoryPolicy } from '../contract/memory';
import type { EvictionPlan } from './evictionPlan';
import type { Schedule, Step } from './schedule';
import { transferSeconds } from './spillCost';

/** Operations looked ahead for what should come back from the spill. */
const LOOK_AHEAD = 24;
/** Longest chain that is computed again for one value: a chain through every residual sum would be made again at once. */
const LONGEST_CHAIN = 4;

/** Below this a storage is not worth a transfer. */
const SMALL_BYTES = 16 * 1024;

/** Storages of this size are kept as long as what could be made again from them. */
const TINY_BYTES = 4096;

/** The budget does not hold this operation, whatever leaves. */
export class BudgetTooSmall extends SurgeryError {
  constructor(
    readonly operation: Operation,
    budget: number,
  ) {
    super('budget-impossible', `A memory budget of ${budget} bytes does not hold layer ${operation.layer} (${operation.name})`);
  }
}

/**
 * Orders allocation, computation and transfers of one iteration within a pool of `budget` bytes. What comes is known, so whatever
 * is needed last leaves first (Belady's rule in the place of the tensor cache's least recent use): it is dropped if it can be
 * computed again for less, else it goes to the spill. The copy begins right after the last use, long before the room is needed.
 *
 * @param away pinned storages that lie in the spill between iterations instead of in the pool
 * @param plan what leaves first, before that rule applies
 * @throws BudgetTooSmall naming the operation
 */
export function scheduleWithin(
  program: MemoryProgram,
  budget: number,
  policy: MemoryPolicy,
  placement: Placement = PLACEMENTS[0],
  away: ReadonlySet<number> = new Set(),
  plan?: EvictionPlan,
): Schedule {
  return new Scheduler(program, budget, policy, placement, away, plan).run();
}

interface Victim {
  readonly id: number;
  /** How it is made again; it goes to the spill when there is none. */
  readonly chain: Chain | undefined;
}

/** Operations that run again in a row, and the time that they take. */
interface Chain {
  readonly length: number;
  readonly seconds: number;
}

const NONE: readonly number[] = [];
const AT_HAND: Chain = { length: 0, seconds: 0 };

/** Where a storage goes among the empty stretches that hold it. */
export interface Placement {
  /** With 'later' only bytes are counted, and offsets mean nothing until `placeOffline`; with 'growing' the budget is also raised to what is needed. */
  readonly fit: Fit | 'later' | 'growing';
  /** Storages of short life lie at the far end, so that they do not split the room of the others. */
  readonly apart: boolean;
}

export const PLACEMENTS = [
  { fit: 'best', apart: true },
  { fit: 'best', apart: false },
  { fit: 'first', apart: true },
  { fit: 'first', apart: false },
] as const satisfies readonly Placement[];

class Scheduler {
  private readonly pool: Pool | Tally;
  private spillEnd = 0;
  private readonly uses: readonly number[][];
  private readonly nextUse: Int32Array;
  private readonly makerOf: Int32Array;
  /** Operation after which a pinned storage no longer holds what it held at the start. */
  private readonly changedBy: Float64Array;
  /** By storage: whether it is in the pool and may leave it, whether it never does, whether it is coming from the spill, and how often it is locked. */
  private readonly resident: Uint8Array;
  private readonly fixed: Uint8Array;
  private readonly fetching: Uint8Array;
  private readonly locks: Int32Array;
  private readonly evictable: EvictionQueue;
  /** Storages that are kept for their operation's sake longer than any operation reads them, by the last operation that may need them. */
  private readonly keptUntil = new Map<number, number[]>();
  /** Position in the spill of what has a valid copy there. */
  private readonly stored = new Map<number, number>();
  /** Position in the spill of the storages that are away between iterations. */
  private readonly homes = new Map<number, number>();
  /** How what was dropped is made again. */
  private readonly dropped = new Map<number, Chain>();
  private readonly leavingAfter: ReadonlyMap<number, readonly number[]>;
  /** What may leave by the plan, in the order of its last uses. */
  private readonly leaving = new Set<number>();
  private readonly steps: Step[] = [];
  /** Steps to insert behind a step: copies to the spill that begin earlier than was known. */
  private readonly inserted = new Map<number, Step[]>();
  private readonly touchedAt: Int32Array;
  private now = -1;
  private peak = { bytes: 0, operation: 0 };
  private traffic = 0;
  private recomputations = 0;
  private recomputeSeconds = 0;

  constructor(
    private readonly program: MemoryProgram,
    private readonly budget: number,
    private readonly policy: MemoryPolicy,
    private readonly placement: Placement,
    away: ReadonlySet<number>,
    private readonly plan: EvictionPlan | undefined,
  ) {
    const { storages, operations } = program;
    this.leavingAfter = plan?.leavingAfter() ?? new Map<number, number[]>();
    this.pool = placement.fit === 'later' || placement.fit === 'growing' ? new Tally(budget) : new Pool(budget, placement.fit);
    this.uses = usesOf(program);
    if (policy === 'recompute' || policy === 'auto') this.keepForRecomputation();
    this.nextUse = new Int32Array(storages.length);
    this.touchedAt = new Int32Array(storages.length).fill(-1);
    this.resident = new Uint8Array(storages.length);
    this.fixed = Uint8Array.from(storages, ({ pinned }, id) => (pinned && !away.has(id) ? 1 : 0));
    this.fetching = new Uint8Array(storages.length);
    this.locks = new Int32Array(storages.length);
    this.evictable = new EvictionQueue(storages.length, operations.length + 1, (id) => this.storage(id).bytes < SMALL_BYTES);
    this.makerOf = new Int32Array(storages.length).fill(-1);
    this.changedBy = new Float64Array(storages.length).fill(Infinity);
    operations.forEach(({ writes }, at) => {
      for (const storage of writes) {
        if (storage === undefined) continue;
        if (storages[storage]?.pinned) this.changedBy[storage] = Math.min(this.changedBy[storage] as number, at);
        else this.makerOf[storage] = at;
      }
    });
    for (const id of away) {
      this.homes.set(id, this.reserve(id));
      this.stored.set(id, this.homes.get(id) as number);
    }
  }

  run(): Schedule {
    const { storages, operations, inputs } = this.program;
    storages.forEach((_, id) => {
      if (this.isFixed(id)) this.place(id);
    });
    for (const id of inputs) {
      this.place(id);
      this.noteNext(id, 0);
    }
    this.markLeaving(-1);
    for (this.now = 0; this.now < operations.length; this.now++) this.execute(operations[this.now] as Operation);
    this.now = operations.length;
    for (const id of this.program.outputs) {
      this.ensure(id);
      this.awaitFetch(id);
      this.lock(id);
    }
    const outputs = new Set(this.program.outputs);
    for (let id = 0; id < storages.length; id++) {
      if (!this.resident[id] || outputs.has(id)) continue;
      if (this.homes.has(id) && !this.stored.has(id)) this.store(id);
      this.release(id);
    }
    return {
      policy: this.policy,
      steps: this.merged(),
      poolBytes: this.pool.extentBytes,
      spillBytes: this.spillEnd,
      homes: this.homes,
      peakBytes: this.peak.bytes,
      peakOperation: this.peak.operation,
      trafficBytes: this.traffic,
      recomputations: this.recomputations,
      recomputeSeconds: this.recomputeSeconds,
    };
  }

  private execute(operation: Operation): void {
    const { reads, writes } = operation;
    for (const id of reads) this.lock(id);
    for (const id of reads) this.ensure(id);
    for (const id of reads) this.awaitFetch(id);
    const taken = this.takeOver(operation);
    const isMade = (id: number | undefined): id is number => id !== undefined && id !== taken && !this.isFixed(id);
    for (const id of writes) if (isMade(id)) this.lock(id);
    for (const id of writes) if (isMade(id)) this.makePlace(id);
    this.runWith(operation, { kind: 'run', operation: this.now });
    for (const id of reads) this.unlock(id);
    for (const id of writes) if (isMade(id)) this.unlock(id);
    for (const ids of [reads, writes, this.keptUntil.get(this.now) ?? NONE])
      for (const id of ids) if (id !== undefined && this.resident[id]) this.freeIfDone(id);
    this.markLeaving(this.now);
    this.prefetch();
  }

  private markLeaving(after: number): void {
    for (const id of this.leavingAfter.get(after) ?? []) if (this.resident[id]) this.leaving.add(id);
  }

  /** Tiny storages have one more use: where the last large result that can be made again from them is needed last. */
  private keepForRecomputation(): void {
    const { storages, operations } = this.program;
    const bytesOf = (id: number): number => storages[id]?.bytes ?? 0;
    for (const { recomputable, reads, writes, ignored } of operations) {
      const [made] = writes;
      const last = made === undefined ? undefined : this.uses[made]?.at(-1);
      if (!recomputable || made === undefined || bytesOf(made) < SMALL_BYTES || last === undefined || !Number.isFinite(last)) continue;
      for (const read of reads) {
        if (storages[read]?.pinned || bytesOf(read) > TINY_BYTES || ignored.includes(read)) continue;
        if ((this.uses[read]?.at(-1) ?? Infinity) >= last) continue;
        this.uses[read]?.push(last);
        this.keptUntil.set(last, [...(this.keptUntil.get(last) ?? []), read]);
      }
    }
  }

  private enter(id: number, from = this.now): void {
    this.resident[id] = 1;
    this.noteNext(id, from);
  }

  private noteNext(id: number, from: number): void {
    if (this.mayLeave(id)) this.evictable.note(id, this.upcoming(id, from) ?? (this.homes.has(id) ? Infinity : -1));
  }

  private mayLeave(id: number): boolean {
    if (this.policy === 'recompute') return this.program.operations[this.makerOf[id] as number]?.recomputable === true;
    return this.policy !== 'liveness';
  }

  private runWith({ reads, writes, workspace }: Operation, step: Step): void {
    if (workspace !== undefined) this.place(workspace);
    this.touch(reads, writes);
    this.steps.push(step);
    if (workspace !== undefined) this.release(workspace);
  }

  /** Whether a storage has one place in the pool that it never leaves. */
  private isFixed(id: number): boolean {
    return this.fixed[id] === 1;
  }

  /** A place to write to; what the spill holds of the storage ends with it. */
  private makePlace(id: number): void {
    if (this.resident[id]) this.awaitFetch(id);
    else this.place(id);
    this.stored.delete(id);
  }

  /** Lets the first output take the place of a storage that ends here. */
  private takeOver({ writes, overwritable }: Operation): number | undefined {
    const [to] = writes;
    if (to === undefined || this.storage(to).pinned) return undefined;
    const from = overwritable.find((id) => this.resident[id] && !this.storage(id).pinned && this.upcoming(id, this.now + 1) === undefined);
    if (from === undefined) return undefined;
    this.steps.push({ kind: 'replace', from, to });
    this.pool.rename(from, to);
    this.resident[from] = 0;
    this.evictable.forget(from);
    this.enter(to);
    this.stored.delete(from);
    return to;
  }

  private touch(reads: readonly number[], writes: readonly (number | undefined)[]): void {
    for (const id of reads) this.touchedAt[id] = this.steps.length;
    for (const id of writes) if (id !== undefined) this.touchedAt[id] = this.steps.length;
  }

  /** Makes a storage resident; a fetch may still be under way. */
  private ensure(id: number): void {
    if (this.resident[id] || this.isFixed(id)) return;
    this.lock(id);
    if (this.stored.has(id)) this.fetch(id);
    else this.recompute(id);
    this.unlock(id);
  }

  private fetch(id: number): void {
    this.place(id);
    this.beginFetch(id);
  }

  private beginFetch(id: number): void {
    this.steps.push({ kind: 'fetch', storage: id, position: this.stored.get(id) as number });
    this.fetching[id] = 1;
    this.traffic += this.storage(id).bytes;
  }

  private awaitFetch(id: number): void {
    if (!this.fetching[id]) return;
    this.fetching[id] = 0;
    this.steps.push({ kind: 'fetched', storage: id });
  }

  private recompute(id: number): void {
    const maker = this.makerOf[id] as number;
    const operation = this.program.operations[maker];
    if (!operation) throw new SurgeryError('internal', `Storage ${this.storage(id).name} is gone and cannot be made again`);
    operation.reads.forEach((read) => this.lock(read));
    for (const read of operation.reads) this.ensure(read);
    for (const read of operation.reads) this.awaitFetch(read);
    this.place(id);
    this.dropped.delete(id);
    this.lock(id);
    this.runWith({ ...operation, writes: [id] }, { kind: 'run', operation: maker, only: id });
    this.unlock(id);
    this.recomputations++;
    this.recomputeSeconds += operation.seconds;
    operation.reads.forEach((read) => this.unlock(read));
    for (const read of operation.reads) if (this.resident[read]) this.freeIfDone(read, this.now);
  }

  /** Finds room, making some if there is none. */
  private place(id: number): void {
    const { bytes } = this.storage(id);
    const next = this.upcoming(id, this.now + 1) ?? this.now;
    const fixed = this.isFixed(id);
    const from = fixed || !this.placement.apart || next - this.now > LOOK_AHEAD ? 'low' : 'high';
    for (;;) {
      const offset = this.pool.allocate(id, bytes, from);
      if (offset !== undefined) {
        this.touchedAt[id] = this.steps.length;
        this.steps.push({ kind: 'allocate', storage: id, offset });
        break;
      }
      this.makeRoom(bytes);
    }
    if (!fixed) this.enter(id);
    if (this.pool.usedBytes > this.peak.bytes) this.peak = { bytes: this.pool.usedBytes, operation: Math.max(0, this.now) };
  }

  private makeRoom(bytes: number): void {
    const victim = this.policy === 'liveness' ? undefined : (this.planned() ?? this.victim());
    if (victim === undefined && this.placement.fit === 'growing') return (this.pool as Tally).grow(bytes);
    if (victim === undefined) throw new BudgetTooSmall(this.program.operations[this.current] as Operation, this.budget);
    const { id, chain } = victim;
    if (chain) this.dropped.set(id, chain);
    else if (!this.stored.has(id)) this.store(id);
    this.release(id);
  }

  /** The operation that runs, or is nearest to. */
  private get current(): number {
    return Math.min(Math.max(0, this.now), this.program.operations.length - 1);
  }

  private planned(): Victim | undefined {
    for (const id of this.leaving) {
      const victim = this.locks[id] || this.fetching[id] ? undefined : this.asVictim(id, this.upcoming(id, this.now) ?? Infinity);
      if (victim) return victim;
    }
    return undefined;
  }

  private asVictim(id: number, next: number): Victim | undefined {
    const chain = this.stored.has(id) ? undefined : this.droppable(id, next);
    return chain || this.stored.has(id) || this.policy !== 'recompute' ? { id, chain } : undefined;
  }

  /** Of what may leave, the storage that is needed last; small ones only when nothing else is left. */
  private victim(): Victim | undefined {
    return this.evictable.furthest(this.now, (id, next) => (this.locks[id] || this.fetching[id] ? undefined : this.asVictim(id, next)));
  }

  /** How a storage is made again at its next use, when the policy lets that take the place of a transfer. */
  private droppable(id: number, next: number): Chain | undefined {
    if (this.policy === 'offload' || !Number.isFinite(next)) return undefined;
    const chain = this.chainOf(id, next, 0);
    const transfer = this.policy === 'recompute' ? Infinity : 2 * transferSeconds(this.storage(id).bytes);
    return chain && chain.length <= LONGEST_CHAIN && chain.seconds < transfer ? chain : undefined;
  }

  /** What has to run to make a storage again right before operation `at` from what is still to be had then. */
  private chainOf(id: number, at: number, depth: number): Chain | undefined {
    const operation = this.program.operations[this.makerOf[id] as number];
    if (!operation?.recomputable || depth > LONGEST_CHAIN) return undefined;
    let [length, seconds] = [0, operation.seconds];
    for (const read of operation.reads) {
      if (operation.ignored.includes(read)) continue;
      const before = this.chainTo(read, at, depth);
      if (!before) return undefined;
      length = Math.max(length, before.length);
      seconds += before.seconds;
    }
    return { length: length + 1, seconds };
  }

  private chainTo(id: number, at: number, depth: number): Chain | undefined {
    if (this.storage(id).pinned) return (this.changedBy[id] as number) >= at ? AT_HAND : undefined;
    const last = this.uses[id]?.at(-1) ?? -1;
    if (last < at) return this.chainOf(id, at, depth + 1);
    return this.resident[id] || this.stored.has(id) ? AT_HAND : this.dropped.get(id);
  }

  private store(id: number): void {
    const { bytes } = this.storage(id);
    const position = this.homes.get(id) ?? this.reserve(id);
    this.stored.set(id, position);
    this.traffic += bytes;
    const at = this.touchedAt[id] as number;
    const step: Step = { kind: 'store', storage: id, position };
    this.inserted.set(at, [...(this.inserted.get(at) ?? []), step]);
    this.steps.push({ kind: 'stored', storage: id });
  }

  private reserve(id: number): number {
    const position = this.spillEnd;
    this.spillEnd += blocksOf(this.storage(id).bytes) * BLOCK_BYTES;
    return position;
  }

  private prefetch(): void {
    const { operations } = this.program;
    if (this.stored.size === 0) return;
    for (let at = this.now + 1; at < Math.min(operations.length, this.now + LOOK_AHEAD); at++)
      for (const id of (operations[at] as Operation).reads) {
        if (this.resident[id] || !this.stored.has(id)) continue;
        if (this.plan && !this.plan.reserve(id, this.now + 1, at)) continue;
        const offset = this.pool.allocate(id, this.storage(id).bytes, this.placement.apart ? 'high' : 'low');
        if (offset === undefined) return;
        this.steps.push({ kind: 'allocate', storage: id, offset });
        this.enter(id, this.now + 1);
        this.beginFetch(id);
        if (this.pool.usedBytes > this.peak.bytes) this.peak = { bytes: this.pool.usedBytes, operation: this.now };
      }
  }

  private freeIfDone(id: number, from = this.now + 1): void {
    if (this.isFixed(id) || this.locks[id]) return;
    const home = this.homes.has(id);
    if (this.upcoming(id, from) !== undefined || (home && !this.stored.has(id))) return this.noteNext(id, from);
    this.release(id);
    if (!home) this.stored.delete(id);
  }

  private release(id: number): void {
    this.awaitFetch(id);
    this.steps.push({ kind: 'free', storage: id });
    this.pool.free(id);
    this.resident[id] = 0;
    this.evictable.forget(id);
    this.leaving.delete(id);
  }

  /** First use at or after an operation. */
  private upcoming(id: number, from: number): number | undefined {
    const uses = this.uses[id] ?? [];
    let at = this.nextUse[id] as number;
    while (at < uses.length && (uses[at] as number) < Math.min(from, this.now)) at++;
    this.nextUse[id] = at;
    while (at < uses.length && (uses[at] as number) < from) at++;
    return uses[at];
  }

  private storage(id: number): Storage {
    return this.program.storages[id] as Storage;
  }

  private lock(id: number): void {
    this.leaving.delete(id);
    this.locks[id] = (this.locks[id] as number) + 1;
  }

  private unlock(id: number): void {
    this.locks[id] = (this.locks[id] as number) - 1;
  }

  private merged(): Step[] {
    if (this.inserted.size === 0) return this.steps;
    const merged = [...(this.inserted.get(-1) ?? [])];
    this.steps.forEach((step, at) => {
      merged.push(step);
      for (const early of this.inserted.get(at) ?? []) merged.push(early);
    });
    return merged;
  }
}

/** Baseline: every storage has a place of its own and nothing is freed. */
export function scheduleEverything(program: MemoryProgram): Schedule {
  const pool = new Pool(Number.MAX_SAFE_INTEGER);
  const allocations = program.storages.map(({ bytes }, storage): Step => ({
    kind: 'allocate',
    storage,
    offset: pool.allocate(storage, bytes) as number,
  }));
  const runs = program.operations.map((_, operation): Step => ({ kind: 'run', operation }));
  return {
    policy: 'none',
    steps: [...allocations, ...runs],
    poolBytes: pool.extentBytes,
    spillBytes: 0,
    homes: new Map(),
    peakBytes: pool.usedBytes,
    peakOperation: program.operations.length - 1,
    trafficBytes: 0,
    recomputations: 0,
    recomputeSeconds: 0,
  };
}

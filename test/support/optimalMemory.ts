import { BLOCK_BYTES, blocksOf } from '../../engine/memory/pool';
import type { MemoryProgram, Operation, Storage } from '../../engine/memory/program';
import { VISIBLE_SPILL_SPEED } from '../../engine/memory/spillCost';
import { IntegerProgram, type Solution, type Term } from './integerProgram';

/** Seconds of the planner's cost model in the objective's unit. */
const MILLISECONDS = 1e3;

/**
 * Least time, in milliseconds, that a schedule of the program's order adds within a budget, over all choices of what to keep, to
 * offload and to compute again at every operation (after Jain et al. 2020, "Checkmate", section 4, with transfers). Sizes are in
 * the pool's blocks, but where they lie is left out, as is the order of what is computed again before one operation: no schedule
 * can be better, and some of its own may not exist.
 *
 * @returns undefined when nothing fits
 */
export function optimalExtra(program: MemoryProgram, budget: number, seconds: number): Promise<Solution | undefined> {
  const formulation = new Formulation(program, true);
  formulation.limit(Math.floor(budget / BLOCK_BYTES));
  return formulation.integer.minimise(seconds);
}

/** Least budget, in bytes, under the same conditions. */
export async function optimalFloor(program: MemoryProgram, seconds: number): Promise<Solution | undefined> {
  const formulation = new Formulation(program, false);
  formulation.limit(0, [[-1, formulation.integer.variable('budget', 'free', 1)]]);
  const solution = await formulation.integer.minimise(seconds);
  return solution && { ...solution, objective: solution.objective * BLOCK_BYTES, bound: solution.bound * BLOCK_BYTES };
}

/** Binary variables: `i` a storage is in the pool while an operation runs, `f` it is fetched and `c` computed again right before, `z` it has been stored. */
class Formulation {
  readonly integer = new IntegerProgram();
  /** Blocks held at every moment: by what the terms tell, and in any case. */
  private readonly memory: { readonly terms: readonly Term[]; readonly always: number }[] = [];
  private readonly makerOf: (number | undefined)[];
  private readonly changedAt: number[][];
  private readonly firstOf: number[];
  /** Operation before which a storage may be wanted for the last time, directly or to compute another again. */
  private readonly lastOf: number[];
  private readonly wantedAt: Set<number>[];

  constructor(
    private readonly program: MemoryProgram,
    private readonly costs: boolean,
  ) {
    const { storages, operations } = program;
    this.makerOf = storages.map(() => undefined);
    this.changedAt = storages.map(() => []);
    operations.forEach(({ writes }, at) => {
      for (const id of written(writes))
        if (this.storage(id).pinned) this.changedAt[id]?.push(at);
        else this.makerOf[id] = at;
    });
    this.firstOf = storages.map(({ pinned }, id) => (pinned || program.inputs.includes(id) ? 0 : (this.makerOf[id] ?? Infinity)));
    this.wantedAt = this.findWants();
    this.lastOf = this.wantedAt.map((wants, id) => Math.max(this.firstOf[id] as number, ...wants));
    storages.forEach((_, id) => this.addStorage(id));
    operations.forEach((operation, at) => this.addRun(operation, at));
    this.addRun({ reads: program.outputs, writes: [], overwritable: [] }, operations.length);
    for (let at = 1; at <= operations.length; at++) this.addGap(at);
  }

  /** Bounds the blocks held, and further terms, at every moment. */
  limit(blocks: number, further: readonly Term[] = []): void {
    for (const { terms, always } of this.memory) this.integer.atMost([...terms, ...further], blocks - always);
  }

  /** Operations before which a storage can be useful. */
  private findWants(): Set<number>[] {
    const { storages, operations, outputs } = this.program;
    const wants = storages.map(() => new Set<number>());
    operations.forEach(({ reads, writes }, at) => {
      for (const id of [...reads, ...written(writes)]) wants[id]?.add(at);
    });
    for (const id of outputs) wants[id]?.add(operations.length);
    // Makers come before users: whatever a storage is wanted for is known when its own sources are looked at.
    for (let maker = operations.length - 1; maker >= 0; maker--) {
      const { reads, writes, ignored } = operations[maker] as Operation;
      for (const id of written(writes)) {
        if (!this.isRecomputable(id)) continue;
        const last = Math.max(...(wants[id] ?? []));
        for (const read of reads)
          if (!ignored.includes(read)) for (let at = maker + 1; at <= last; at++) if (this.canRecompute(id, at)) wants[read]?.add(at);
      }
    }
    return wants;
  }

  private isRecomputable(id: number): boolean {
    const maker = this.makerOf[id];
    return maker !== undefined && this.operation(maker).recomputable;
  }

  /** Whether no weights that it is made from have changed before operation `at`. */
  private canRecompute(id: number, at: number): boolean {
    const maker = this.makerOf[id];
    if (maker === undefined || at <= maker || !this.isRecomputable(id)) return false;
    const { reads, ignored } = this.operation(maker);
    return reads.every((read) => ignored.includes(read) || (this.changedAt[read]?.[0] ?? Infinity) >= at);
  }

  /** All variables of one storage, and how it comes into the pool. */
  private addStorage(id: number): void {
    const { operations, inputs, keepsPinned } = this.program;
    const { bytes, pinned } = this.storage(id);
    const transfer = this.cost(bytes / VISIBLE_SPILL_SPEED);
    const changes = this.changedAt[id] as number[];
    // Version 0 of a pinned storage lies in the spill for nothing if it lives there; the last one has to return to it.
    for (let version = 0; version <= changes.length; version++)
      this.integer.variable(`z${id}_${version}`, 'binary', pinned && version === 0 ? 0 : transfer);
    if (keepsPinned) this.integer.atMost([[1, `z${id}_0`]], pinned ? 0 : 1);
    if (pinned && changes.length > 0) this.atMost([1, `z${id}_0`], [-1, `z${id}_${changes.length}`]);
    const wants = this.wantedAt[id] as Set<number>;
    const made = inputs.includes(id) ? -1 : (this.makerOf[id] ?? -1);
    for (let at = this.firstOf[id] as number; at <= this.lastFor(id); at++) {
      this.integer.variable(`i${id}_${at}`, 'binary');
      if (pinned)
        this.integer.atMost(
          [
            [-1, `i${id}_${at}`],
            [-1, `z${id}_0`],
          ],
          -1,
        );
      const sources: Term[] = [];
      if (wants.has(at) && at > made) {
        const version = changes.filter((change) => change < at).length;
        sources.push([-1, this.integer.variable(`f${id}_${at}`, 'binary', transfer)]);
        this.atMost([1, `f${id}_${at}`], [-1, `z${id}_${version}`]);
      }
      if (this.canRecompute(id, at))
        sources.push([-1, this.integer.variable(`c${id}_${at}`, 'binary', this.cost(this.operation(this.makerOf[id] as number).seconds))]);
      const isWritten = at < operations.length && this.operation(at).writes.includes(id) && !this.operation(at).reads.includes(id);
      if (isWritten || at === made) continue;
      this.arrives(id, at, sources);
    }
  }

  /** In the pool only if it was there before or came: at the start inputs are there, and weights that have no place in the spill. */
  private arrives(id: number, at: number, sources: readonly Term[]): void {
    const here: Term = [1, `i${id}_${at}`];
    if (at > (this.firstOf[id] as number)) this.atMost(here, [-1, `i${id}_${at - 1}`], ...sources);
    else if (this.storage(id).pinned) this.integer.atMost([here, [1, `z${id}_0`], ...sources], 1);
  }

  private lastFor(id: number): number {
    return this.storage(id).pinned ? this.program.operations.length : (this.lastOf[id] as number);
  }

  private addRun({ reads, writes, overwritable, workspace }: Run, at: number): void {
    for (const id of new Set([...reads, ...written(writes)])) this.integer.atMost([[-1, `i${id}_${at}`]], -1);
    const terms = this.program.storages.flatMap((_, id): Term[] => {
      const name = `i${id}_${at}`;
      return this.integer.has(name) ? [[this.blocks(id), name]] : [];
    });
    this.memory.push({ terms: [...terms, ...this.takeOver(writes, overwritable, at)], always: this.blocks(workspace) });
  }

  /** The first output may take the place of one input, which then is gone. */
  private takeOver([to]: Operation['writes'], overwritable: readonly number[], at: number): Term[] {
    if (to === undefined || this.storage(to).pinned) return [];
    const able = overwritable.filter((id) => !this.storage(id).pinned);
    const names = able.map((id): Term => {
      const name = this.integer.variable(`o${id}_${at}`, 'binary');
      const next = `i${id}_${at + 1}`;
      if (this.integer.has(next)) this.integer.atMost([[1, next], [1, name], ...this.coming(id, at + 1)], 1);
      return [1, name];
    });
    this.integer.atMost(names, 1);
    return able.map((id) => [-this.blocks(id), `o${id}_${at}`]);
  }

  /** What is computed again before an operation needs its sources, and room beside all that stays from the operation before. */
  private addGap(at: number): void {
    const made = this.program.storages.flatMap((_, id) => (this.integer.has(`c${id}_${at}`) ? [id] : []));
    if (made.length === 0) return;
    const stays = this.program.storages.flatMap((_, id) => this.staying(id, at));
    for (const id of made) {
      const { reads, ignored, workspace } = this.operation(this.makerOf[id] as number);
      const sources = reads.filter((read) => !ignored.includes(read));
      for (const source of sources) this.isAtHand(source, at, `c${id}_${at}`);
      const busy = new Set([...sources, id]);
      const need = [...busy].reduce((sum, each) => sum + this.blocks(each), this.blocks(workspace));
      const others = stays.filter(({ storage }) => !busy.has(storage)).map(({ name, storage }): Term => [this.blocks(storage), name]);
      this.memory.push({ terms: [...others, [need, `c${id}_${at}`]], always: 0 });
    }
  }

  private isAtHand(id: number, at: number, user: string): void {
    const before = `i${id}_${at - 1}`;
    this.atMost([1, user], ...(this.integer.has(before) ? [[-1, before] as const] : []), ...this.coming(id, at));
  }

  /** A variable that is at least 1 when a storage is in the pool before and after, and does not come in between. */
  private staying(storage: number, at: number): { storage: number; name: string }[] {
    const [before, after] = [`i${storage}_${at - 1}`, `i${storage}_${at}`];
    if (!this.integer.has(before) || !this.integer.has(after)) return [];
    const name = this.integer.variable(`s${storage}_${at}`, 'share');
    this.integer.atMost([[1, before], [1, after], [-1, name], ...this.coming(storage, at)], 1);
    return [{ storage, name }];
  }

  /** Less the ways in which a storage comes right before an operation. */
  private coming(id: number, at: number): Term[] {
    return [`f${id}_${at}`, `c${id}_${at}`].filter((name) => this.integer.has(name)).map((name): Term => [-1, name]);
  }

  private atMost(...terms: Term[]): void {
    this.integer.atMost(terms, 0);
  }

  private cost(seconds: number): number {
    return this.costs ? seconds * MILLISECONDS : 0;
  }

  private blocks(id: number | undefined): number {
    return id === undefined ? 0 : Math.max(1, blocksOf(this.storage(id).bytes));
  }

  private operation(at: number): Operation {
    return this.program.operations[at] as Operation;
  }

  private storage(id: number): Storage {
    return this.program.storages[id] as Storage;
  }
}

type Run = Pick<Operation, 'reads' | 'writes' | 'overwritable' | 'workspace'>;

const written = (writes: Operation['writes']): number[] => writes.filter((id): id is number => id !== undefined);

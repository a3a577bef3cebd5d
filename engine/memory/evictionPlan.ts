import type { MemoryPolicy } from '../contract/memory';
import { BLOCK_BYTES, blocksOf } from './pool';
import { type MemoryProgram, type Operation, usesOf } from './program';
import { VISIBLE_SPILL_SPEED } from './spillCost';

/** Longest chain of operations that is computed again for one value. */
const LONGEST_CHAIN = 4;

/** From one use of a storage to the next; nothing needs it in between. */
interface Gap {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  chosen: boolean;
}

/** How a storage comes back at the end of a gap. */
interface Return {
  readonly seconds: number;
  /** Storages that must be there to compute it again. */
  readonly sources: readonly number[];
}

/**
 * Chooses what leaves the pool between which uses, in the knowledge of the whole iteration: as long as some operation needs more than
 * `budget` bytes, of what lies idle during the one that needs most the gap that frees most for its cost; afterwards whatever turned
 * out not to be needed stays (greedy cover with reverse deletion). Takes quadratic time.
 */
export class EvictionPlan {
  private readonly budget: number;
  /** Blocks held during each operation. */
  private readonly held: Int32Array;
  private readonly gaps: Gap[] = [];
  private readonly gapsOf: Gap[][];
  private readonly uses: readonly (readonly number[])[];
  private readonly makerOf: Int32Array;
  private readonly changedBy: Float64Array;

  /**
   * @param away pinned storages that lie in the spill between iterations
   * @param reach how much it counts that a gap frees room for more than one operation
   */
  constructor(
    private readonly program: MemoryProgram,
    budget: number,
    private readonly policy: MemoryPolicy,
    private readonly away: ReadonlySet<number>,
    reach: number,
  ) {
    const { storages, operations } = program;
    this.budget = Math.floor(budget / BLOCK_BYTES);
    this.held = new Int32Array(operations.length);
    this.uses = usesOf(program).map((uses) => uses.map((at) => Math.min(at, operations.length)));
    this.gapsOf = storages.map(() => []);
    this.makerOf = new Int32Array(storages.length).fill(-1);
    this.changedBy = new Float64Array(storages.length).fill(Infinity);
    operations.forEach(({ writes }, at) => {
      for (const id of writes)
        if (id !== undefined && storages[id]?.pinned) this.changedBy[id] = Math.min(this.changedBy[id] as number, at);
        else if (id !== undefined) this.makerOf[id] = at;
    });
    storages.forEach((_, id) => this.addStorage(id));
    operations.forEach((operation, at) => this.addOperation(operation, at));
    while (this.chooseOne(reach));
    this.keepNeedless();
  }

  /** Storages that may leave once an operation has run; -1 for the start. */
  leavingAfter(): Map<number, number[]> {
    const leaving = new Map<number, number[]>();
    for (const { id, from, chosen } of this.gaps) if (chosen) leaving.set(from, [...(leaving.get(from) ?? []), id]);
    return leaving;
  }

  /** Takes room for a storage during the operations from `from` until before `to`, if it is there. */
  reserve(id: number, from: number, to: number): boolean {
    const blocks = this.blocks(id);
    for (let at = from; at < to; at++) if ((this.held[at] as number) + blocks > this.budget) return false;
    this.hold(id, from, to, blocks);
    return true;
  }

  private hold(id: number, from: number, to: number, blocks = this.blocks(id)): void {
    for (let at = Math.max(0, from); at < Math.min(to, this.held.length); at++) this.held[at] = (this.held[at] as number) + blocks;
  }

  private addStorage(id: number): void {
    const uses = this.uses[id] ?? [];
    const fixed = this.program.storages[id]?.pinned === true && !this.away.has(id);
    if (fixed) return this.hold(id, 0, this.held.length);
    if (uses.length === 0) return;
    this.hold(id, uses[0] as number, (uses.at(-1) as number) + 1);
    for (let i = 1; i < uses.length; i++) this.addGap(id, uses[i - 1] as number, uses[i] as number);
  }

  private addGap(id: number, from: number, to: number): void {
    if (to - from < 2) return;
    const gap = { id, from, to, chosen: false };
    this.gaps.push(gap);
    this.gapsOf[id]?.push(gap);
  }

  /** What an operation needs beside its reads and writes, less what the first output takes over. */
  private addOperation({ writes: [to], overwritable, workspace }: Operation, at: number): void {
    const { storages } = this.program;
    if (workspace !== undefined) this.hold(workspace, at, at + 1);
    const ends = (id: number): boolean => !storages[id]?.pinned && this.uses[id]?.at(-1) === at;
    const taken = to === undefined || storages[to]?.pinned ? undefined : overwritable.find(ends);
    if (taken !== undefined) this.hold(taken, at, at + 1, -this.blocks(taken));
  }

  private chooseOne(reach: number): boolean {
    let fullest = 0;
    const above = new Int32Array(this.held.length + 1);
    this.held.forEach((blocks, at) => {
      if (blocks > (this.held[fullest] as number)) fullest = at;
      above[at + 1] = (above[at] as number) + (blocks > this.budget ? 1 : 0);
    });
    if ((this.held[fullest] as number) <= this.budget) return false;
    let best: { gap: Gap; back: Return; score: number } | undefined;
    for (const gap of this.gaps) {
      if (gap.chosen || gap.from >= fullest || gap.to <= fullest) continue;
      const back = this.back(gap);
      if (!back) continue;
      const served = (above[gap.to] as number) - (above[gap.from + 1] as number);
      const needed = Math.min(this.blocks(gap.id), (this.held[fullest] as number) - this.budget);
      const score = (needed * served ** reach) / back.seconds;
      if (!best || score > best.score) best = { gap, back, score };
    }
    if (!best) return false;
    this.choose(best.gap, best.back);
    return true;
  }

  private choose(gap: Gap, { sources }: Return): void {
    gap.chosen = true;
    this.hold(gap.id, gap.from + 1, gap.to, -this.blocks(gap.id));
    for (const source of sources) this.split(source, gap.to);
  }

  /** A storage is needed once more, between two uses. */
  private split(id: number, at: number): void {
    const gap = this.gapsOf[id]?.find(({ from, to }) => from < at && at < to);
    if (!gap) return;
    this.gaps.splice(this.gaps.indexOf(gap), 1);
    this.gapsOf[id]?.splice(this.gapsOf[id].indexOf(gap), 1);
    this.addGap(id, gap.from, at);
    this.addGap(id, at, gap.to);
  }

  /** Undoes choices that the later ones made needless, the dearest first. */
  private keepNeedless(): void {
    const cost = new Map(this.gaps.filter(({ chosen }) => chosen).map((gap) => [gap, this.back(gap)?.seconds ?? 0]));
    for (const [gap] of [...cost].sort((a, b) => b[1] - a[1]))
      if (this.reserve(gap.id, Math.max(0, gap.from + 1), Math.min(gap.to, this.held.length))) gap.chosen = false;
  }

  /** The cheapest way that the policy allows. */
  private back({ id, to }: Gap): Return | undefined {
    const chain = this.policy === 'offload' || to >= this.held.length ? undefined : this.chain(id, to, 0);
    if (this.policy === 'recompute') return chain;
    const seconds = ((this.program.storages[id]?.bytes ?? 0) / VISIBLE_SPILL_SPEED) * (this.away.has(id) ? 1 : 2);
    return chain && chain.seconds < seconds ? chain : { seconds, sources: [] };
  }

  /** What has to run to make a storage again right before operation `at`. */
  private chain(id: number, at: number, depth: number): Return | undefined {
    const operation = this.program.operations[this.makerOf[id] as number];
    if (!operation?.recomputable || depth > LONGEST_CHAIN) return undefined;
    let seconds = operation.seconds;
    const sources: number[] = [];
    for (const read of operation.reads) {
      if (operation.ignored.includes(read)) continue;
      if (this.program.storages[read]?.pinned) {
        if ((this.changedBy[read] as number) < at) return undefined;
      } else if (this.isThere(read, at)) sources.push(read);
      else {
        const before = this.chain(read, at, depth + 1);
        if (!before) return undefined;
        seconds += before.seconds;
        sources.push(...before.sources);
      }
    }
    return { seconds, sources };
  }

  private isThere(id: number, at: number): boolean {
    const uses = this.uses[id] ?? [];
    if (at > (uses.at(-1) ?? -1)) return false;
    return !this.gapsOf[id]?.some(({ from, to, chosen }) => chosen && from < at && at < to);
  }

  private blocks(id: number): number {
    return Math.max(1, blocksOf(this.program.storages[id]?.bytes ?? 0));
  }
}

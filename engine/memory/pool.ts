/** Block size of the unified tensor pool (SuperNeurons, section 3.3.1: "1 KB as the basic storage unit"). */
export const BLOCK_BYTES = 1024;

export type Fit = 'first' | 'best';

/** A run of blocks, in blocks. */
interface Segment {
  start: number;
  blocks: number;
}

export const blocksOf = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES);

/** What a tensor takes of a pool: whole blocks, at least one. */
export const heldBytes = (bytes: number): number => Math.max(1, blocksOf(bytes)) * BLOCK_BYTES;

/**
 * One chunk of memory handed out in blocks (SuperNeurons, section 3.3.1): a list of empty segments in address order and a table of the
 * allocated ones by id. Neighbouring empty segments are always merged.
 */
export class Pool {
  readonly #empty: Segment[];
  readonly #allocated = new Map<number, Segment>();
  #used = 0;
  #peak = 0;
  #extent = 0;

  /** @param capacity bytes; what does not fill a block is left unused */
  constructor(
    readonly capacity: number,
    private readonly fit: Fit = 'first',
  ) {
    const blocks = Math.floor(capacity / BLOCK_BYTES);
    this.#empty = blocks > 0 ? [{ start: 0, blocks }] : [];
  }

  /** Bytes in allocated blocks now, and their maximum so far. */
  get usedBytes(): number {
    return this.#used * BLOCK_BYTES;
  }

  get peakBytes(): number {
    return this.#peak * BLOCK_BYTES;
  }

  /** End of the highest block that was ever allocated, in bytes: the chunk that would have sufficed. */
  get extentBytes(): number {
    return this.#extent * BLOCK_BYTES;
  }

  /** Sizes of the empty segments in bytes, by address. */
  get emptyBytes(): readonly number[] {
    return this.#empty.map((segment) => segment.blocks * BLOCK_BYTES);
  }

  /**
   * Byte offset of `bytes` for the tensor `id`, or undefined when no empty segment is large enough. `from` 'high' takes the end of the
   * highest fitting segment: tensors of short life kept at the other end do not split the room of long ones.
   */
  allocate(id: number, bytes: number, from: 'low' | 'high' = 'low'): number | undefined {
    if (this.#allocated.has(id)) throw new RangeError(`Tensor ${id} is already allocated`);
    const blocks = Math.max(1, blocksOf(bytes));
    const index = this.#find(blocks, from);
    const segment = this.#empty[index];
    if (!segment) return undefined;
    const start = from === 'low' ? segment.start : segment.start + segment.blocks - blocks;
    segment.blocks -= blocks;
    if (from === 'low') segment.start += blocks;
    if (segment.blocks === 0) this.#empty.splice(index, 1);
    this.#allocated.set(id, { start, blocks });
    this.#used += blocks;
    this.#peak = Math.max(this.#peak, this.#used);
    this.#extent = Math.max(this.#extent, start + blocks);
    return start * BLOCK_BYTES;
  }

  /** Offset of an allocated tensor; undefined when it is not in the pool. */
  offsetOf(id: number): number | undefined {
    const segment = this.#allocated.get(id);
    return segment && segment.start * BLOCK_BYTES;
  }

  /** Gives the place of one tensor to another. */
  rename(from: number, to: number): void {
    const segment = this.#allocated.get(from);
    if (!segment || this.#allocated.has(to)) throw new RangeError(`Tensor ${to} cannot take the place of ${from}`);
    this.#allocated.delete(from);
    this.#allocated.set(to, segment);
  }

  free(id: number): void {
    const segment = this.#allocated.get(id);
    if (!segment) throw new RangeError(`Tensor ${id} is not in the pool`);
    this.#allocated.delete(id);
    this.#used -= segment.blocks;
    this.#insert(segment);
  }

  #find(blocks: number, from: 'low' | 'high'): number {
    if (this.fit === 'first')
      return from === 'low' ? this.#empty.findIndex((s) => s.blocks >= blocks) : this.#empty.findLastIndex((s) => s.blocks >= blocks);
    let [best, smallest] = [-1, Infinity];
    for (let i = 0; i < this.#empty.length; i++) {
      const size = (this.#empty[i] as Segment).blocks;
      if (size >= blocks && (size < smallest || (size === smallest && from === 'high'))) [best, smallest] = [i, size];
      if (smallest === blocks && from === 'low') break;
    }
    return best;
  }

  /** Puts a segment back in address order and merges it with the neighbours it touches. */
  #insert(segment: Segment): void {
    let low = 0;
    let high = this.#empty.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#empty[middle] as Segment).start < segment.start) low = middle + 1;
      else high = middle;
    }
    const before = this.#empty[low - 1];
    const after = this.#empty[low];
    const joinsBefore = before !== undefined && before.start + before.blocks === segment.start;
    const joinsAfter = after !== undefined && segment.start + segment.blocks === after.start;
    if (joinsBefore) before.blocks += segment.blocks + (joinsAfter ? after.blocks : 0);
    if (joinsAfter && !joinsBefore) {
      after.start = segment.start;
      after.blocks += segment.blocks;
    }
    if (joinsBefore && joinsAfter) this.#empty.splice(low, 1);
    if (!joinsBefore && !joinsAfter) this.#empty.splice(low, 0, segment);
  }
}

/** A pool that counts blocks and gives no places. */
export class Tally {
  readonly #allocated = new Map<number, number>();
  #used = 0;
  #peak = 0;

  /** @param capacity bytes */
  constructor(readonly capacity: number) {}

  get usedBytes(): number {
    return this.#used * BLOCK_BYTES;
  }

  get extentBytes(): number {
    return this.#peak * BLOCK_BYTES;
  }

  /** 0, or undefined when fewer than `bytes` are left. */
  allocate(id: number, bytes: number): number | undefined {
    const blocks = Math.max(1, blocksOf(bytes));
    if ((this.#used + blocks) * BLOCK_BYTES > this.capacity) return undefined;
    this.#allocated.set(id, blocks);
    this.#used += blocks;
    this.#peak = Math.max(this.#peak, this.#used);
    return 0;
  }

  rename(from: number, to: number): void {
    this.#allocated.set(to, this.#allocated.get(from) as number);
    this.#allocated.delete(from);
  }

  free(id: number): void {
    this.#used -= this.#allocated.get(id) as number;
    this.#allocated.delete(id);
  }
}

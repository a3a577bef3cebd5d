import { type End, type Fit, type Segment, Segments } from './segments';

/** Block size of the unified tensor pool (SuperNeurons, section 3.3.1: "1 KB as the basic storage unit"). */
export const BLOCK_BYTES = 1024;

export const blocksOf = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES);

/** What a tensor takes of a pool: whole blocks, at least one. */
export const heldBytes = (bytes: number): number => Math.max(1, blocksOf(bytes)) * BLOCK_BYTES;

/**
 * One chunk of memory handed out in blocks (SuperNeurons, section 3.3.1): a set of empty segments and a table of the
 * allocated ones by id. Neighbouring empty segments are always merged.
 */
export class Pool {
  readonly #segments: Segments;
  readonly #allocated = new Map<number, Segment>();
  #used = 0;
  #peak = 0;
  #extent = 0;

  /** @param capacity bytes; what does not fill a block is left unused */
  constructor(
    readonly capacity: number,
    fit: Fit = 'first',
  ) {
    this.#segments = new Segments(Math.floor(capacity / BLOCK_BYTES), fit);
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
    return this.#segments.emptyBlocks.map((blocks) => blocks * BLOCK_BYTES);
  }

  /**
   * Byte offset of `bytes` for the tensor `id`, or undefined when no empty segment is large enough. `from` 'high' takes the end of the
   * highest fitting segment: tensors of short life kept at the other end do not split the room of long ones.
   */
  allocate(id: number, bytes: number, from: End = 'low'): number | undefined {
    if (this.#allocated.has(id)) throw new RangeError(`Tensor ${id} is already allocated`);
    const blocks = Math.max(1, blocksOf(bytes));
    const segment = this.#segments.take(blocks, from);
    if (!segment) return undefined;
    this.#allocated.set(id, segment);
    this.#used += blocks;
    this.#peak = Math.max(this.#peak, this.#used);
    this.#extent = Math.max(this.#extent, segment.start + blocks);
    return segment.start * BLOCK_BYTES;
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
    this.#segments.release(segment);
  }
}

/** A pool that counts blocks and gives no places. */
export class Tally {
  readonly #allocated = new Map<number, number>();
  #used = 0;
  #peak = 0;

  #capacity: number;

  /** @param capacity bytes */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get usedBytes(): number {
    return this.#used * BLOCK_BYTES;
  }

  get extentBytes(): number {
    return this.#peak * BLOCK_BYTES;
  }

  /** 0, or undefined when fewer than `bytes` are left. */
  allocate(id: number, bytes: number): number | undefined {
    const blocks = Math.max(1, blocksOf(bytes));
    if ((this.#used + blocks) * BLOCK_BYTES > this.#capacity) return undefined;
    this.#allocated.set(id, blocks);
    this.#used += blocks;
    this.#peak = Math.max(this.#peak, this.#used);
    return 0;
  }

  /** Raises the capacity to hold `bytes` beside what is allocated, by a hundredth at least. */
  grow(bytes: number): void {
    this.#capacity = Math.max(this.usedBytes + heldBytes(bytes), 1.01 * this.#capacity);
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

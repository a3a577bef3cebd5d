import TinyQueue from 'tinyqueue';

export type Fit = 'first' | 'best';

/** Which end of a pool a place is looked for from. */
export type End = 'low' | 'high';

/** A run of blocks, in blocks, between its neighbours. */
export interface Segment {
  readonly start: number;
  readonly blocks: number;
  /** 'gone' once it was split or merged. */
  state: 'empty' | 'taken' | 'gone';
  before: Segment | undefined;
  after: Segment | undefined;
}

/** The empty segments of one size: how many there are, and themselves among others that have ceased to be. */
interface Bucket {
  count: number;
  low: TinyQueue<Segment>;
  high: TinyQueue<Segment>;
}

/** Segments that have ceased to be, for each that is, before a bucket is made anew. */
const STALE = 4;

/**
 * All segments of a pool in address order. Empty neighbours are always merged; a fitting segment is found among sizes, of which there
 * are far fewer than segments.
 */
export class Segments {
  readonly #buckets = new Map<number, Bucket>();
  /** Sizes that have a bucket, in rising order. */
  readonly #sizes: number[] = [];

  constructor(
    blocks: number,
    private readonly fit: Fit,
  ) {
    if (blocks > 0) this.#offer(newSegment(0, blocks, 'empty'));
  }

  /** Blocks of every empty segment, by address. */
  get emptyBlocks(): number[] {
    const empty = [...this.#buckets.values()].flatMap(({ low }) => low.data.filter(isEmpty));
    return empty.sort(byStart).map(({ blocks }) => blocks);
  }

  /** `blocks` blocks of an empty segment that holds them, or undefined; 'high' takes the end of the highest. */
  take(blocks: number, from: End): Segment | undefined {
    const found = this.#find(blocks, from);
    if (!found) return undefined;
    this.#withdraw(found);
    const rest = found.blocks - blocks;
    const taken = newSegment(found.start + (from === 'low' ? 0 : rest), blocks, 'taken');
    const left = rest > 0 ? newSegment(found.start + (from === 'low' ? blocks : 0), rest, 'empty') : undefined;
    const [first, last] = from === 'low' ? [taken, left ?? taken] : [left ?? taken, taken];
    link(found.before, first);
    if (first !== last) link(first, last);
    link(last, found.after);
    if (left) this.#offer(left);
    return taken;
  }

  /** Empties a segment and merges it with the empty neighbours. */
  release(segment: Segment): void {
    let [first, last] = [segment, segment];
    if (segment.before?.state === 'empty') this.#withdraw((first = segment.before));
    if (segment.after?.state === 'empty') this.#withdraw((last = segment.after));
    segment.state = 'gone';
    const merged = newSegment(first.start, last.start + last.blocks - first.start, 'empty');
    link(first.before, merged);
    link(merged, last.after);
    this.#offer(merged);
  }

  #find(blocks: number, from: End): Segment | undefined {
    let found: Segment | undefined;
    for (let at = firstAtLeast(this.#sizes, blocks); at < this.#sizes.length; at++) {
      const segment = this.#endmost(this.#sizes[at] as number, from);
      if (this.fit === 'best') return segment;
      if (!found || (from === 'low' ? segment.start < found.start : segment.start > found.start)) found = segment;
    }
    return found;
  }

  /** The lowest or highest empty segment of a size that there is. */
  #endmost(size: number, from: End): Segment {
    const queue = (this.#buckets.get(size) as Bucket)[from];
    while (!isEmpty(queue.peek() as Segment)) queue.pop();
    return queue.peek() as Segment;
  }

  #offer(segment: Segment): void {
    const { blocks } = segment;
    let bucket = this.#buckets.get(blocks);
    if (!bucket) {
      bucket = { count: 0, ...queuesOf([]) };
      this.#buckets.set(blocks, bucket);
      this.#sizes.splice(firstAtLeast(this.#sizes, blocks), 0, blocks);
    }
    bucket.count++;
    bucket.low.push(segment);
    bucket.high.push(segment);
    const { low, high, count } = bucket;
    if (Math.max(low.length, high.length) >= STALE * (count + STALE)) Object.assign(bucket, queuesOf(low.data.filter(isEmpty)));
  }

  #withdraw(segment: Segment): void {
    segment.state = 'gone';
    const bucket = this.#buckets.get(segment.blocks) as Bucket;
    if (--bucket.count > 0) return;
    this.#buckets.delete(segment.blocks);
    this.#sizes.splice(firstAtLeast(this.#sizes, segment.blocks), 1);
  }
}

const newSegment = (start: number, blocks: number, state: Segment['state']): Segment => ({
  start,
  blocks,
  state,
  before: undefined,
  after: undefined,
});

const isEmpty = ({ state }: Segment): boolean => state === 'empty';
const byStart = (a: Segment, b: Segment): number => a.start - b.start;

const queuesOf = (segments: readonly Segment[]): Pick<Bucket, End> => ({
  low: new TinyQueue([...segments], byStart),
  high: new TinyQueue([...segments], (a, b) => b.start - a.start),
});

function link(before: Segment | undefined, after: Segment | undefined): void {
  if (before) before.after = after;
  if (after) after.before = before;
}

function firstAtLeast(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

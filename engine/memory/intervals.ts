/** Stretches that lie next to each other. */
interface Chunk {
  readonly starts: number[];
  readonly owners: number[];
  readonly bytes: number[];
}

/** Stretches in a chunk: few enough to move them, enough for few chunks. */
const CHUNK = 256;

/** Stretches of memory that must not overlap, sorted by where they begin, in chunks. */
export class Intervals {
  readonly #chunks: Chunk[] = [{ starts: [], owners: [], bytes: [] }];

  /** @returns the owner of a stretch that it would overlap, in which case nothing is added */
  add(owner: number, start: number, bytes: number): number | undefined {
    const index = this.#chunkOf(start);
    const { starts, owners, bytes: lengths } = this.#chunks[index] as Chunk;
    const at = firstAfter(starts, start);
    if (at > 0 && (starts[at - 1] as number) + (lengths[at - 1] as number) > start) return owners[at - 1];
    const [next, nextOwner] = at < starts.length ? [starts[at], owners[at]] : this.#firstOf(index + 1);
    if (next !== undefined && next < start + bytes) return nextOwner;
    starts.splice(at, 0, start);
    owners.splice(at, 0, owner);
    lengths.splice(at, 0, bytes);
    if (starts.length > 2 * CHUNK)
      this.#chunks.splice(index + 1, 0, { starts: starts.splice(CHUNK), owners: owners.splice(CHUNK), bytes: lengths.splice(CHUNK) });
    return undefined;
  }

  remove(start: number): void {
    const index = this.#chunkOf(start);
    const { starts, owners, bytes } = this.#chunks[index] as Chunk;
    const at = firstAfter(starts, start) - 1;
    if (starts[at] !== start) throw new RangeError(`No stretch begins at ${start}`);
    starts.splice(at, 1);
    owners.splice(at, 1);
    bytes.splice(at, 1);
    if (starts.length === 0 && this.#chunks.length > 1) this.#chunks.splice(index, 1);
  }

  #firstOf(index: number): [number | undefined, number | undefined] {
    const chunk = this.#chunks[index];
    return [chunk?.starts[0], chunk?.owners[0]];
  }

  /** The last chunk that begins at or before `start`, or the first. */
  #chunkOf(start: number): number {
    let [low, high] = [1, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((this.#chunks[middle] as Chunk).starts[0] as number) <= start) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function firstAfter(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

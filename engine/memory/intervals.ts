/** Stretches of memory that must not overlap, sorted by where they begin. */
export class Intervals {
  readonly #starts: number[] = [];
  readonly #owners: number[] = [];
  readonly #bytes: number[] = [];

  /** @returns the owner of a stretch that it would overlap, in which case nothing is added */
  add(owner: number, start: number, bytes: number): number | undefined {
    const at = this.#firstAfter(start);
    if (at > 0 && (this.#starts[at - 1] as number) + (this.#bytes[at - 1] as number) > start) return this.#owners[at - 1];
    if (at < this.#starts.length && (this.#starts[at] as number) < start + bytes) return this.#owners[at];
    this.#starts.splice(at, 0, start);
    this.#owners.splice(at, 0, owner);
    this.#bytes.splice(at, 0, bytes);
    return undefined;
  }

  remove(start: number): void {
    const at = this.#firstAfter(start) - 1;
    if (this.#starts[at] !== start) throw new RangeError(`No stretch begins at ${start}`);
    this.#starts.splice(at, 1);
    this.#owners.splice(at, 1);
    this.#bytes.splice(at, 1);
  }

  #firstAfter(start: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

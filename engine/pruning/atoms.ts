/** Union-find over whole numbers with path halving; the smaller number is the representative. */
export class DisjointSets {
  private readonly parent: Int32Array;

  constructor(size: number) {
    this.parent = Int32Array.from({ length: size }, (_, i) => i);
  }

  find(item: number): number {
    const { parent } = this;
    let at = item;
    while (parent[at] !== at) {
      const next = parent[parent[at] as number] as number;
      parent[at] = next;
      at = next;
    }
    return at;
  }

  join(a: number, b: number): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x !== y) this.parent[Math.max(x, y)] = Math.min(x, y);
  }
}

/** Numbers every position of every axis of every value: the atoms that channels are made of. */
export class AtomIndex {
  readonly count: number;
  private readonly starts = new Map<string, number[]>();
  private readonly owners: { value: string; axis: number; start: number }[] = [];

  constructor(readonly shapes: ReadonlyMap<string, readonly number[]>) {
    let next = 0;
    for (const [value, shape] of shapes)
      this.starts.set(
        value,
        shape.map((size, axis) => {
          this.owners.push({ value, axis, start: next });
          next += size;
          return next - size;
        }),
      );
    this.count = next;
  }

  /** First atom of an axis. */
  start(value: string, axis: number): number {
    const start = this.starts.get(value)?.[axis];
    if (start === undefined) throw new RangeError(`Value ${value} has no axis ${axis}`);
    return start;
  }

  size(value: string, axis: number): number {
    return this.shapes.get(value)?.[axis] ?? 0;
  }

  /** Every axis with its first atom, in the order of atoms. */
  axes(): readonly { readonly value: string; readonly axis: number; readonly start: number }[] {
    return this.owners;
  }
}

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

interface Axis {
  readonly value: string;
  readonly axis: number;
}

/** Axes that are tied position by position, and the atoms that their positions are. */
export interface Bundle {
  /** Numbers of the axes, rising. */
  readonly axes: number[];
  readonly size: number;
  /** Atom of the first position. */
  readonly start: number;
}

/** Every axis of every value, numbered in order; axes whose positions correspond one to one can be bundled. */
export class AxisIndex {
  readonly axes: readonly Axis[];
  private readonly firsts = new Map<string, number>();
  private readonly sets: DisjointSets;

  constructor(readonly shapes: ReadonlyMap<string, readonly number[]>) {
    const axes: Axis[] = [];
    for (const [value, shape] of shapes) {
      this.firsts.set(value, axes.length);
      shape.forEach((_, axis) => axes.push({ value, axis }));
    }
    this.axes = axes;
    this.sets = new DisjointSets(axes.length);
  }

  number(value: string, axis: number): number {
    const first = this.firsts.get(value);
    if (first === undefined || !(axis in (this.shapes.get(value) ?? []))) throw new RangeError(`Value ${value} has no axis ${axis}`);
    return first + axis;
  }

  size(value: string, axis: number): number {
    return this.shapes.get(value)?.[axis] ?? 0;
  }

  /** Ties two axes of one size position by position. */
  bundle(a: Axis, b: Axis): void {
    this.sets.join(this.number(a.value, a.axis), this.number(b.value, b.axis));
  }

  /** The least number of an axis that is bundled with this one. */
  representative(number: number): number {
    return this.sets.find(number);
  }
}

/** Numbers the positions of bundled axes: the atoms that channels are made of. To be made once all axes are bundled. */
export class AtomIndex {
  readonly count: number;
  readonly bundles: readonly Bundle[];
  private readonly byRepresentative = new Map<number, Bundle>();

  constructor(readonly axes: AxisIndex) {
    let count = 0;
    axes.axes.forEach(({ value, axis }, number) => {
      const representative = axes.representative(number);
      const known = this.byRepresentative.get(representative);
      if (known) return void known.axes.push(number);
      const size = axes.size(value, axis);
      this.byRepresentative.set(representative, {
        axes: [number],
        size,
        start: count,
      });
      count += size;
    });
    this.count = count;
    this.bundles = [...this.byRepresentative.values()];
  }

  get shapes(): ReadonlyMap<string, readonly number[]> {
    return this.axes.shapes;
  }

  /** First atom of an axis. */
  start(value: string, axis: number): number {
    return this.byRepresentative.get(this.axes.representative(this.axes.number(value, axis)))?.start ?? 0;
  }

  size(value: string, axis: number): number {
    return this.axes.size(value, axis);
  }
}

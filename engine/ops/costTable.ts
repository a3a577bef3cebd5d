/** What formulations of a convolution's gradients are told apart by. Spatial lists have one entry an axis. */
export interface ConvShape {
  readonly batch: number;
  readonly channels: number;
  readonly filters: number;
  readonly input: readonly number[];
  readonly kernel: readonly number[];
  readonly stride: number;
  readonly groups: number;
}

/** What is to be computed: a gradient in the plain layout or in the blocked one. */
export type Job = 'weight-gradient' | 'input-gradient' | 'blocked-weight-gradient';

export interface CostEntry {
  readonly job: Job;
  readonly shape: ConvShape;
  /** Milliseconds by name of the formulation. */
  readonly times: Readonly<Record<string, number>>;
  /** What the built-in rules take. */
  readonly usual: string;
}

/** Shapes further apart than this, in doublings over all their sizes, say nothing about each other. */
const REACH = 4;
/** Part of the usual formulation's time that another one must save: less is as likely chance as gain. */
const GAIN = 0.1;

/** Measured times of formulations by shape; the nearest shape that was measured speaks for the others. */
export class CostTable {
  constructor(readonly entries: readonly CostEntry[]) {}

  /** The fastest of these formulations for such a shape; the usual one where nothing near was measured or no other is clearly faster. */
  fastest(job: Job, shape: ConvShape, candidates: readonly string[], usual: string): string {
    let nearest: { distance: number; times: CostEntry['times'] } | undefined;
    for (const entry of this.entries) {
      if (entry.job !== job || !candidates.some((name) => name in entry.times)) continue;
      const distance = distanceOf(entry.shape, shape);
      if (distance <= REACH && distance < (nearest?.distance ?? Infinity)) nearest = { distance, times: entry.times };
    }
    const time = (name: string): number => nearest?.times[name] ?? Infinity;
    const best = candidates.reduce((a, b) => (time(b) < time(a) ? b : a), usual);
    return time(best) <= (1 - GAIN) * time(usual) ? best : usual;
  }
}

/** A table that always answers with one formulation, where it is asked about it. */
export class OnlyFormulation extends CostTable {
  /** Whether the formulation was among the candidates. */
  used = false;
  /** What it took the place of. */
  usual = '';

  constructor(private readonly name: string) {
    super([]);
  }

  override fastest(_job: Job, _shape: ConvShape, candidates: readonly string[], usual: string): string {
    if (!candidates.includes(this.name)) return usual;
    [this.used, this.usual] = [true, usual];
    return this.name;
  }
}

/** Doublings between two shapes; infinite where kernel, stride or the kind of grouping differ. */
function distanceOf(a: ConvShape, b: ConvShape): number {
  if (a.kernel.join() !== b.kernel.join() || a.stride !== b.stride || groupingOf(a) !== groupingOf(b)) return Infinity;
  const ratio = (x: number, y: number): number => Math.abs(Math.log2(x / y));
  const area = (shape: ConvShape): number => shape.input.reduce((n, d) => n * d, 1);
  return ratio(a.batch, b.batch) + ratio(a.channels, b.channels) + ratio(a.filters, b.filters) + ratio(area(a), area(b));
}

const groupingOf = ({ groups, channels }: ConvShape): string => (groups === 1 ? 'dense' : groups === channels ? 'depthwise' : 'grouped');

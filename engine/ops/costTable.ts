import type { Graph } from '../graph/graph';

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

/** One gradient of one convolution, for those who choose by more than its shape. */
export interface FormQuestion {
  /** Name of the convolution. */
  readonly node: string;
  /** The same for gradients that take the same time and memory, whatever the formulation. */
  readonly key: string;
  /** The gradient alone, from its inputs to its only output. */
  readonly graphOf: (formulation: string) => Graph;
}

/** Shapes further apart than this, in doublings over all their sizes, say nothing about each other. */
const REACH = 4;
/** Part of the usual formulation's time that another one must save: less is as likely chance as gain. */
const GAIN = 0.1;

/** Measured times of formulations by shape; the nearest shape that was measured speaks for the others. */
export class CostTable {
  constructor(readonly entries: readonly CostEntry[]) {}

  /** The fastest of these formulations for such a shape; the usual one where nothing near was measured or no other is clearly faster. */
  fastest(job: Job, shape: ConvShape, candidates: readonly string[], usual: string, _question?: FormQuestion): string {
    const nearest = this.nearest(job, shape, candidates);
    const time = (name: string): number => nearest?.times[name] ?? Infinity;
    const best = candidates.reduce((a, b) => (time(b) < time(a) ? b : a), usual);
    return time(best) <= (1 - GAIN) * time(usual) ? best : usual;
  }

  /** Seconds of those of the formulations that were measured near such a shape, by the work that it is. */
  seconds(job: Job, shape: ConvShape, candidates: readonly string[]): ReadonlyMap<string, number> {
    const nearest = this.nearest(job, shape, candidates);
    if (!nearest) return new Map();
    const scale = workOf(shape) / workOf(nearest.shape) / 1000;
    return new Map(candidates.flatMap((name) => (name in nearest.times ? [[name, scale * (nearest.times[name] as number)] as const] : [])));
  }

  private nearest(job: Job, shape: ConvShape, candidates: readonly string[]): CostEntry | undefined {
    let nearest: CostEntry | undefined;
    let least = Infinity;
    for (const entry of this.entries) {
      if (entry.job !== job || !candidates.some((name) => name in entry.times)) continue;
      const distance = distanceOf(entry.shape, shape);
      if (distance <= REACH && distance < least) [nearest, least] = [entry, distance];
    }
    return nearest;
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
  return ratio(a.batch, b.batch) + ratio(a.channels, b.channels) + ratio(a.filters, b.filters) + ratio(area(a), area(b));
}

const area = ({ input }: ConvShape): number => input.reduce((n, d) => n * d, 1);
const workOf = (shape: ConvShape): number => (shape.batch * shape.channels * shape.filters * area(shape)) / shape.groups;

const groupingOf = ({ groups, channels }: ConvShape): string => (groups === 1 ? 'dense' : groups === channels ? 'depthwise' : 'grouped');

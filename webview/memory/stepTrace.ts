import type { PoolTrace } from '../../engine/contract/memory';

/** Points kept of one step; more are merged in pairs. */
const MOST_POINTS = 600;

type Point = readonly [seconds: number, bytes: number];

/** What the pool held over the step that is running and over the one before it, put together from the stretches that come while it runs. */
export class StepTrace {
  private points: Point[] = [];
  private before: readonly Point[] = [];
  private step = -1;
  private isWhole = false;

  get current(): readonly Point[] {
    return this.points;
  }

  get previous(): readonly Point[] {
    return this.before;
  }

  /** A stretch whose beginning was missed is left out. */
  add(step: number, { ms, bytes, isFirst, isLast, stepMs }: PoolTrace): void {
    if (isFirst) {
      if (this.isWhole) this.before = this.points;
      [this.points, this.step, this.isWhole] = [[], step, false];
    } else if (step !== this.step) return;
    ms.forEach((at, i) => this.points.push([at / 1000, bytes[i] ?? 0]));
    const last = this.points.at(-1);
    if (isLast && last) {
      this.points.push([stepMs / 1000, last[1]]);
      this.isWhole = true;
    }
    while (this.points.length > MOST_POINTS) this.points = halved(this.points);
  }

  clear(): void {
    [this.points, this.before, this.step, this.isWhole] = [[], [], -1, false];
  }
}

/** The larger of every two neighbours, so that no peak is lost. */
function halved(points: readonly Point[]): Point[] {
  const kept: Point[] = [];
  for (let i = 0; i < points.length; i += 2) {
    const [a, b] = [points[i] as Point, points[i + 1]];
    kept.push(b && b[1] > a[1] ? b : a);
  }
  return kept;
}

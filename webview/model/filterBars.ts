import { type Selection, create, scaleLog } from 'd3';

/** Size of the drawing, which is stretched to its card. */
const [WIDTH, HEIGHT] = [100, 46];
/** More columns than pixels show nothing more. */
const MOST_COLUMNS = 200;
const GAP = 0.14;

/** Heights of all bars follow one logarithmic scale, so that groups compare. */
export const heightScale = (scores: Float64Array): ((score: number) => number) => {
  const low = scores.find((s) => s > 0) ?? 1e-6;
  const scale = scaleLog([low, Math.max(scores.at(-1) ?? 1, low * 1.01)], [3, HEIGHT]).clamp(true);
  return (score) => scale(Math.max(score, low));
};

/**
 * Filters of one group as bars, the least important first, and their sensitivity curve. The bars are one path, drawn once; a veil
 * fades those that are cut, so that a moved threshold changes one width.
 */
export class FilterBars {
  readonly element: SVGSVGElement;
  private readonly veil: Selection<SVGRectElement, undefined, null, undefined>;
  private readonly curve: Selection<SVGGElement, undefined, null, undefined>;

  /** @param scores sorted */
  constructor(
    private readonly scores: readonly number[],
    height: (score: number) => number,
  ) {
    const svg = create('svg')
      .attr('class', 'bars')
      .attr('role', 'img')
      .attr('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
      .attr('preserveAspectRatio', 'none');
    svg.append('path').attr('class', 'bar-path').attr('d', barsOf(scores, height));
    this.veil = svg.append('rect').attr('class', 'veil').attr('width', 0).attr('height', HEIGHT);
    this.curve = svg.append('g').attr('class', 'sensitivity');
    this.element = svg.node() as SVGSVGElement;
  }

  /** Fades the first `cut` filters. */
  show(cut: number): void {
    this.veil.attr('width', (WIDTH * cut) / Math.max(1, this.scores.length));
  }

  describe(label: string): void {
    this.element.setAttribute('aria-label', label);
  }

  /** A line over the bars; fractions of width and height, none to remove it. */
  showCurve(points: readonly (readonly [number, number])[]): void {
    const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${WIDTH * x},${HEIGHT - 2 - (HEIGHT - 4) * y}`).join('');
    this.curve
      .selectAll('path')
      .data(path ? [path] : [])
      .join('path')
      .attr('d', (d) => d);
  }

  /** The filter under a fraction of the width. */
  at(fraction: number): number {
    return Math.max(0, Math.min(this.scores.length - 1, Math.floor(fraction * this.scores.length)));
  }
}

function barsOf(scores: readonly number[], height: (score: number) => number): string {
  const columns = Math.min(scores.length, MOST_COLUMNS);
  const step = WIDTH / columns;
  const bar = columns > 80 ? step : step * (1 - GAP);
  return Array.from({ length: columns }, (_, i) => {
    const score = scores[Math.floor(((i + 0.5) * scores.length) / columns)] ?? 0;
    return `M${(i * step).toFixed(2)},${HEIGHT}v${(-height(score)).toFixed(1)}h${bar.toFixed(2)}V${HEIGHT}z`;
  }).join('');
}

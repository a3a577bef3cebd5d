import { scaleLog } from 'd3';
import { element } from '../shared/elements';

const HEIGHT = 46;
const GAP = 1;

/** Heights of all bars follow one logarithmic scale, so that groups compare. */
export const heightScale = (scores: Float64Array): ((score: number) => number) => {
  const low = scores.find((s) => s > 0) ?? 1e-6;
  const scale = scaleLog([low, Math.max(scores.at(-1) ?? 1, low * 1.01)], [3, HEIGHT]).clamp(true);
  return (score) => scale(Math.max(score, low));
};

/**
 * Filters of one group as bars, the least important first. They are drawn once; a veil fades those that are cut, so that a moved
 * threshold draws nothing anew.
 */
export class FilterBars {
  readonly element = element('div', 'bars');
  private readonly canvas = element('canvas');
  private readonly veil = element('div', 'veil');
  private shown = 0;

  /** @param scores sorted */
  constructor(
    private readonly scores: readonly number[],
    private readonly height: (score: number) => number,
  ) {
    this.element.setAttribute('role', 'img');
    this.element.append(this.canvas, this.veil);
  }

  /** Draws the bars anew, for a width in pixels. */
  draw(width: number, colour: string): void {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.round(HEIGHT * ratio);
    this.canvas.style.height = `${HEIGHT}px`;
    const context = this.canvas.getContext('2d');
    context?.scale(ratio, ratio);
    if (context) context.fillStyle = colour;
    context?.fill(this.barsOf(width));
  }

  /** Fades the first `cut` filters. */
  show(cut: number): void {
    if (cut === this.shown) return;
    this.shown = cut;
    this.veil.style.transform = `scaleX(${cut / Math.max(1, this.scores.length)})`;
  }

  /** The filter under a fraction of the width. */
  at(fraction: number): number {
    return Math.max(0, Math.min(this.scores.length - 1, Math.floor(fraction * this.scores.length)));
  }

  private barsOf(width: number): Path2D {
    const path = new Path2D();
    const { length } = this.scores;
    const columns = Math.min(length, Math.floor(width));
    const step = width / columns;
    const gap = step > 3 ? GAP : 0;
    for (let column = 0; column < columns; column++) {
      const score = this.scores[Math.floor(((column + 0.5) * length) / columns)] ?? 0;
      const bar = this.height(score);
      path.rect(column * step, HEIGHT - bar, step - gap, bar);
    }
    return path;
  }
}

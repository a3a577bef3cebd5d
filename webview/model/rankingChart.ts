import { line, pointer, scaleLinear, scaleLog } from 'd3';
import { chartFrame, drawYAxis, movedByKey } from '../shared/chart';
import type { Threshold } from './threshold';

const HEIGHT = 168;
const MARGIN = { top: 10, right: 12, bottom: 24, left: 52 };
/** More points than pixels show nothing more. */
const MOST_POINTS = 1200;

/** The sorted scores of all filters with a threshold that is dragged or moved by keys. The curve is drawn once; a move shifts two marks. */
export class RankingChart {
  private threshold: Threshold | undefined;
  private moveMarks: () => void = () => undefined;

  constructor(
    private readonly host: HTMLElement,
    private readonly onMove: (rank: number) => void,
  ) {}

  draw(threshold: Threshold): void {
    this.threshold = threshold;
    const { scores, length } = threshold;
    const frame = chartFrame(this.host, HEIGHT, 'Scores of all filters, sorted', MARGIN);
    frame.svg.classed('ranking', true).attr('role', 'group');
    const low = scores.find((s) => s > 0) ?? 1e-6;
    const high = Math.max(scores.at(-1) ?? 1, low * 1.01);
    const x = scaleLinear([0, length], [frame.left, frame.right]);
    const y = scaleLog([low, high], [frame.bottom, frame.top]).clamp(true);
    const area = frame.svg
      .append('rect')
      .attr('class', 'cut-area')
      .attr('x', frame.left)
      .attr('y', frame.top)
      .attr('height', frame.bottom - frame.top);
    drawYAxis(frame, y, { ticks: roundTicks(y.ticks()), format: (tick) => tick.toExponential(0) });
    const step = Math.max(1, Math.floor(length / MOST_POINTS));
    const places = Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
    const path = line<number>(
      (i) => x(i + 0.5),
      (i) => y(Math.max(scores[i] ?? 0, low)),
    );
    frame.svg.append('path').attr('class', 'curve').attr('d', path(places));
    const text = (at: number, anchor: string, words: string): void =>
      void frame.svg
        .append('text')
        .attr('class', 'axis')
        .attr('x', at)
        .attr('y', HEIGHT - 6)
        .attr('text-anchor', anchor)
        .text(words);
    text(frame.left, 'start', 'least important');
    text(frame.right, 'end', `${length} filters`);
    const handle = frame.svg
      .append('g')
      .attr('class', 'threshold')
      .attr('role', 'slider')
      .attr('tabindex', 0)
      .attr('aria-label', 'Threshold: filters to the left are cut')
      .attr('aria-valuemin', 0)
      .attr('aria-valuemax', length);
    handle.append('line').attr('y1', frame.top).attr('y2', frame.bottom);
    handle
      .append('rect')
      .attr('x', -5)
      .attr('y', HEIGHT / 2 - 22)
      .attr('width', 10)
      .attr('height', 28)
      .attr('rx', 3);
    this.moveMarks = () => {
      area.attr('width', x(threshold.rank) - frame.left);
      handle
        .attr('transform', `translate(${x(threshold.rank)},0)`)
        .attr('aria-valuenow', threshold.rank)
        .attr('aria-valuetext', `${threshold.removed} filters cut`);
    };
    this.moveMarks();
    this.listen(frame.svg.node(), handle.node(), x.copy().clamp(true));
  }

  /** Puts the marks where the threshold is. */
  follow(): void {
    this.moveMarks();
  }

  private listen(node: SVGSVGElement | null, handle: SVGGElement | null, x: { invert(pixel: number): number }): void {
    if (!node || !handle) return;
    const move = (event: PointerEvent): void => this.onMove(Math.round(x.invert(pointer(event, node)[0])));
    node.onpointerdown = (event) => {
      node.setPointerCapture(event.pointerId);
      move(event);
    };
    node.onpointermove = (event) => {
      if (node.hasPointerCapture(event.pointerId)) move(event);
    };
    handle.onkeydown = (event) => {
      const next = movedByKey(event.key, this.threshold?.rank ?? 0, this.threshold?.length ?? 0);
      if (next === undefined) return;
      event.preventDefault();
      this.onMove(next);
    };
  }
}

/** Powers of ten; with their halves and doubles where there are few. */
function roundTicks(ticks: readonly number[]): number[] {
  const withMantissa = (...digits: string[]): number[] => ticks.filter((t) => digits.includes(t.toExponential(0)[0] ?? ''));
  const powers = withMantissa('1');
  return powers.length > 1 ? powers.filter((_, i) => i % Math.ceil(powers.length / 5) === 0) : withMantissa('1', '2', '5');
}

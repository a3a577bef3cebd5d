import { max, scaleLinear } from 'd3';
import type { TickTockPoint } from '../../engine/contract/tickTock';
import { MARGIN, Tooltip, chartFrame, drawXAxis, drawYAxis, movedByKey } from '../shared/chart';

const HEIGHT = 190;

/** Filters that each Tick removed, as bars. */
export class RemovedChart {
  private points: readonly TickTockPoint[] = [];
  private readonly tooltip: Tooltip;
  private focus = 0;

  constructor(private readonly host: HTMLElement) {
    this.tooltip = new Tooltip(host);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(points: readonly TickTockPoint[]): void {
    this.points = points.filter((p) => p.removed !== undefined);
    this.draw();
  }

  private draw(): void {
    const { points } = this;
    const frame = chartFrame(this.host, HEIGHT, 'Filters that each Tick removed', { ...MARGIN, top: 22 });
    const most = max(points, (p) => p.removed ?? 0) ?? 1;
    const count = Math.max(8, points.length);
    const x = scaleLinear([0, count], [frame.left, frame.right]);
    const y = scaleLinear([0, Math.max(1, most)], [frame.bottom, frame.top]).nice();
    const whole = (ticks: number[]): number[] => ticks.filter(Number.isInteger);
    drawYAxis(frame, y, { ticks: whole(y.ticks(4)), format: String, label: 'filters removed' });
    const middle = scaleLinear([1, count], [x(0.5), x(count - 0.5)]);
    drawXAxis(frame, middle, { ticks: whole(middle.ticks(8)), format: String, label: 'Tick' });
    const bar = (x(1) - x(0)) * 0.72;
    const bars = frame.svg
      .append('g')
      .selectAll('rect')
      .data(points)
      .join('rect')
      .attr('class', 'removed')
      .attr('x', (_, i) => x(i + 0.5) - bar / 2)
      .attr('width', Math.max(1, bar))
      .attr('y', (p) => y(p.removed ?? 0))
      .attr('height', (p) => frame.bottom - y(p.removed ?? 0))
      .on('pointerenter', (_event, p) => show(points.indexOf(p)))
      .on('pointerleave', () => this.tooltip.hide());
    const show = (index: number): void => {
      const point = points[index];
      if (!point) return;
      this.focus = index;
      bars.classed('focused', (_, i) => i === index);
      this.tooltip.show(x(index + 0.5), y(point.removed ?? 0), `Tick ${point.ticks}`, [
        { name: 'removed', value: String(point.removed) },
        { name: 'left', value: String(point.filters) },
      ]);
    };
    frame.svg
      .attr('tabindex', 0)
      .on('blur', () => {
        bars.classed('focused', false);
        this.tooltip.hide();
      })
      .on('keydown', (event: KeyboardEvent) => {
        const next = movedByKey(event.key, this.focus, points.length - 1);
        if (next === undefined) return;
        event.preventDefault();
        show(next);
      });
  }
}

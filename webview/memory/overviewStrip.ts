import { type BrushBehavior, type D3BrushEvent, type Selection, brushX, scaleLinear, select } from 'd3';
import { element } from '../shared/elements';
import { drawAreas } from './areaCanvas';
import type { Timeline } from './timeline';

const HEIGHT = 38;

/** The whole iteration in a strip; a brush on it chooses what the chart above shows. */
export class OverviewStrip {
  private timeline: Timeline | undefined;
  private range: readonly [number, number] = [0, 1];
  private readonly canvas = element('canvas', 'areas');
  private readonly svg: Selection<SVGSVGElement, unknown, null, undefined>;
  private readonly group: Selection<SVGGElement, unknown, null, undefined>;
  private readonly brush: BrushBehavior<unknown> = brushX();

  constructor(
    private readonly host: HTMLElement,
    private readonly margin: { readonly left: number; readonly right: number },
    private readonly onZoom: (range: readonly [number, number]) => void,
  ) {
    host.classList.add('strip');
    host.setAttribute('aria-hidden', 'true');
    host.append(this.canvas);
    this.svg = select(host).append('svg').attr('class', 'overlay');
    this.group = this.svg.append('g').attr('class', 'brush');
    this.brush.on('brush end', (event: D3BrushEvent<unknown>) => this.moved(event));
    new ResizeObserver(() => this.draw()).observe(host);
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ['class'] });
  }

  show(timeline: Timeline): void {
    if (timeline.length !== this.timeline?.length) this.range = [0, timeline.length];
    this.timeline = timeline;
    this.draw();
  }

  zoom(range: readonly [number, number]): void {
    this.range = range;
    this.drawBrush();
  }

  private get x() {
    return scaleLinear([0, this.timeline?.length ?? 1], [this.margin.left, this.width - this.margin.right]);
  }

  private get width(): number {
    return Math.max(240, this.host.clientWidth);
  }

  private draw(): void {
    const { timeline, width } = this;
    if (!timeline || this.host.clientWidth === 0) return;
    for (const node of [this.canvas, this.svg.node()]) if (node) [node.style.width, node.style.height] = [`${width}px`, `${HEIGHT}px`];
    const layout = { width, height: HEIGHT, left: this.margin.left, right: width - this.margin.right, top: 8, bottom: HEIGHT - 2 };
    drawAreas(this.canvas, timeline, layout, { from: 0, to: timeline.length, top: timeline.totals[timeline.peak] ?? 1 });
    this.brush.extent([
      [layout.left, 0],
      [layout.right, HEIGHT],
    ]);
    this.group.call(this.brush);
    this.drawBrush();
  }

  private drawBrush(): void {
    const [from, to] = this.range;
    const isWhole = from <= 0 && to >= (this.timeline?.length ?? 1);
    const { x } = this;
    this.group.call((group) => this.brush.move(group, isWhole ? null : [x(from), x(to)]));
  }

  private moved({ sourceEvent, selection, type }: D3BrushEvent<unknown>): void {
    if (!sourceEvent) return;
    const { x, timeline } = this;
    if (!selection) {
      if (type === 'end') this.onZoom([0, timeline?.length ?? 1]);
      return;
    }
    const [left, right] = selection as [number, number];
    const [from, to] = [x.invert(left), x.invert(right)];
    if (to - from < 1) return;
    this.range = [from, to];
    this.onZoom(this.range);
  }
}

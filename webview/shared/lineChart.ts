import { bisectCenter, extent, line, pointer, scaleLinear, scaleLog } from 'd3';
import { MARGIN, Tooltip, chartFrame, drawXAxis, drawYAxis, legend, movedByKey, seriesColour } from './chart';

export interface Series {
  readonly name: string;
  /** Sorted by x. */
  readonly points: readonly (readonly [number, number])[];
  /** Index of the colour; its place in the list otherwise. */
  readonly colour?: number;
  readonly isDashed?: boolean;
  /** Dots at the points, for few of them. */
  readonly hasDots?: boolean;
}

/** A stretch of the x axis, such as a phase of training. */
export interface Band {
  readonly from: number;
  readonly to: number;
  readonly name: string;
  readonly colour: number;
}

export interface LineChartOptions {
  readonly label: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly height?: number;
  readonly formatX?: (value: number) => string;
  readonly formatY?: (value: number) => string;
  readonly isYLog?: boolean;
  readonly isXLog?: boolean;
  /** Fixed ends of the y axis; the data's otherwise. */
  readonly yDomain?: readonly [number, number];
  /** The y axis begins at zero, whatever the least value is. */
  readonly isYFromZero?: boolean;
  readonly hasLegend?: boolean;
  /** Heading of the values at a place; its x value otherwise. */
  readonly titleOf?: (x: number) => string;
  /** A point was clicked, or Enter pressed at it. */
  readonly onChoose?: (x: number) => void;
}

const plain = (value: number): string => String(Number(value.toPrecision(3)));

/** Curves over one x axis, read by pointer or arrow keys. */
export class LineChart {
  private series: readonly Series[] = [];
  private bands: readonly Band[] = [];
  private readonly tooltip: Tooltip;
  private readonly key: HTMLElement;
  private focus = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: LineChartOptions,
  ) {
    this.tooltip = new Tooltip(host);
    this.key = legend([]);
    host.append(this.key);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(series: readonly Series[], bands: readonly Band[] = []): void {
    this.series = series;
    this.bands = bands;
    const shown = legend(series.map(({ name, colour, isDashed }, i) => ({ name, isDashed, colour: seriesColour(colour ?? i) })));
    this.key.replaceChildren(...shown.childNodes);
    this.key.hidden = this.options.hasLegend === false || series.length < 2;
    this.draw();
  }

  private draw(): void {
    const { options, series } = this;
    const { formatX = plain, formatY = plain } = options;
    const all = series.flatMap((s) => s.points);
    const frame = chartFrame(this.host, options.height ?? 220, options.label, { ...MARGIN, top: 22 });
    const [x0 = 0, x1 = 1] = extent([...all.map((p) => p[0]), ...this.bands.flatMap((b) => [b.from, b.to])]);
    const [least = 0, y1 = 1] = options.yDomain ?? extent(all, (p) => p[1]);
    const y0 = options.isYFromZero ? 0 : least;
    const x = (options.isXLog ? scaleLog : scaleLinear)([x0, Math.max(x1, x0 + 1e-9)], [frame.left, frame.right]);
    const y = (options.isYLog ? scaleLog : scaleLinear)([y0, y1 > y0 ? y1 : y0 + Math.max(1e-9, Math.abs(y0))], [frame.bottom, frame.top]);
    if (!options.yDomain) y.nice();
    for (const { from, to, name, colour } of this.bands) {
      const [left, right] = [Math.max(frame.left, x(from)), Math.min(frame.right, x(to))];
      if (right <= left) continue;
      frame.svg
        .append('rect')
        .attr('class', 'band')
        .attr('x', left)
        .attr('width', right - left)
        .attr('y', frame.top)
        .attr('height', frame.bottom - frame.top)
        .style('fill', seriesColour(colour));
      if (right - left > 6 * name.length)
        frame.svg
          .append('text')
          .attr('class', 'band-name')
          .attr('x', left + 4)
          .attr('y', frame.top + 11)
          .text(name);
    }
    const count = Math.max(2, Math.floor((frame.right - frame.left) / 90));
    drawYAxis(frame, y, { ticks: thin(y.ticks(4), 6), format: formatY, label: options.yLabel });
    const isCounted = all.every(([at]) => Number.isInteger(at));
    const ticks = x.ticks(count).filter((tick) => !isCounted || Number.isInteger(tick));
    drawXAxis(frame, x, { ticks: thin(ticks, count + 1), format: formatX, label: options.xLabel });
    series.forEach(({ points, colour, isDashed, hasDots }, i) => {
      const stroke = seriesColour(colour ?? i);
      const path = line<readonly [number, number]>(
        (p) => x(p[0]),
        (p) => y(p[1]),
      );
      frame.svg
        .append('path')
        .attr('class', isDashed ? 'series dashed' : 'series')
        .attr('d', path(points))
        .style('stroke', stroke);
      if (hasDots || points.length === 1)
        frame.svg
          .append('g')
          .selectAll('circle')
          .data(points)
          .join('circle')
          .attr('cx', (p) => x(p[0]))
          .attr('cy', (p) => y(p[1]))
          .attr('r', 3)
          .style('fill', stroke);
    });
    this.listen(frame, x, y);
  }

  /** Pointer and arrow keys move a crosshair over the points. */
  private listen(frame: ReturnType<typeof chartFrame>, x: (v: number) => number, y: (v: number) => number): void {
    const places = [...new Set(this.series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
    if (places.length === 0) return;
    const { formatX = plain, formatY = plain, xLabel, onChoose, titleOf = (at: number) => `${xLabel} ${formatX(at)}` } = this.options;
    const crosshair = frame.svg
      .append('line')
      .attr('class', 'crosshair')
      .attr('y1', frame.top)
      .attr('y2', frame.bottom)
      .attr('visibility', 'hidden');
    const show = (index: number): void => {
      this.focus = index;
      const at = places[index] ?? 0;
      const rows = this.series.flatMap(({ name, points, colour }, i) => {
        const found = points.find((p) => p[0] === at);
        return found ? [{ name, value: formatY(found[1]), colour: seriesColour(colour ?? i), height: y(found[1]) }] : [];
      });
      crosshair.attr('x1', x(at)).attr('x2', x(at)).attr('visibility', 'visible');
      this.tooltip.show(x(at), rows[0]?.height ?? frame.top, titleOf(at), rows);
    };
    const hide = (): void => {
      crosshair.attr('visibility', 'hidden');
      this.tooltip.hide();
    };
    const nearest = (event: PointerEvent): number => bisectCenter(places.map(x), pointer(event, frame.svg.node())[0]);
    frame.svg
      .attr('tabindex', 0)
      .on('pointermove', (event: PointerEvent) => show(nearest(event)))
      .on('pointerleave blur', hide)
      .on('click', (event: PointerEvent) => onChoose?.(places[nearest(event)] ?? 0))
      .on('keydown', (event: KeyboardEvent) => {
        if (event.key === 'Enter') onChoose?.(places[this.focus] ?? 0);
        const next = movedByKey(event.key, Math.min(this.focus, places.length - 1), places.length - 1);
        if (next === undefined) return;
        event.preventDefault();
        show(next);
      });
  }
}

const thin = (ticks: readonly number[], most: number): number[] => ticks.filter((_, i) => i % Math.ceil(ticks.length / most) === 0);

import { type AxisScale, type Selection, select } from 'd3';
import { element } from './elements';

export interface Margin {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

/** An svg with room for axes around the plot. */
export interface ChartFrame {
  readonly svg: Selection<SVGSVGElement, null, null, undefined>;
  readonly width: number;
  readonly height: number;
  /** Edges of the plot in pixels. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export const MARGIN: Margin = { top: 12, right: 12, bottom: 34, left: 52 };

/** Colour of the n-th series; the css of the theme decides. */
export const seriesColour = (index: number): string => `var(--series-${index % 6})`;

/** An emptied svg as wide as its host. */
export function chartFrame(host: HTMLElement, height: number, label: string, margin: Margin = MARGIN): ChartFrame {
  host.classList.add('chart');
  const width = Math.max(240, host.clientWidth);
  const svg = select<HTMLElement, null>(host)
    .selectAll<SVGSVGElement, null>(':scope > svg')
    .data([null])
    .join('svg')
    .attr('width', width)
    .attr('height', height)
    .attr('role', 'img')
    .attr('aria-label', label) as unknown as ChartFrame['svg'];
  svg.selectAll('*').remove();
  return { svg, width, height, left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
}

export interface AxisOptions {
  readonly ticks: readonly number[];
  readonly format: (value: number) => string;
  readonly label?: string;
}

/** Ticks and name under the plot. */
export function drawXAxis(frame: ChartFrame, scale: AxisScale<number>, { ticks, format, label }: AxisOptions): void {
  const axis = frame.svg.append('g');
  axis
    .append('line')
    .attr('class', 'baseline')
    .attr('x1', frame.left)
    .attr('x2', frame.right)
    .attr('y1', frame.bottom)
    .attr('y2', frame.bottom);
  for (const tick of ticks)
    axis
      .append('text')
      .attr('class', 'axis')
      .attr('x', scale(tick) ?? 0)
      .attr('y', frame.bottom + 14)
      .attr('text-anchor', 'middle')
      .text(format(tick));
  if (label)
    axis
      .append('text')
      .attr('class', 'axis label')
      .attr('x', (frame.left + frame.right) / 2)
      .attr('y', frame.bottom + 29)
      .attr('text-anchor', 'middle')
      .text(label);
}

/** Grid lines across the plot with ticks at one side, and the name above them. */
export function drawYAxis(
  frame: ChartFrame,
  scale: AxisScale<number>,
  { ticks, format, label }: AxisOptions,
  side: 'left' | 'right' = 'left',
): void {
  const axis = frame.svg.append('g');
  const x = side === 'left' ? frame.left - 6 : frame.right + 6;
  const anchor = side === 'left' ? 'end' : 'start';
  for (const tick of ticks) {
    const y = scale(tick) ?? 0;
    if (side === 'left')
      axis.append('line').attr('class', 'grid').attr('x1', frame.left).attr('x2', frame.right).attr('y1', y).attr('y2', y);
    axis.append('text').attr('class', 'axis').attr('x', x).attr('y', y).attr('dy', '0.32em').attr('text-anchor', anchor).text(format(tick));
  }
  if (label)
    axis
      .append('text')
      .attr('class', 'axis label')
      .attr('x', side === 'left' ? 0 : frame.width)
      .attr('y', 9)
      .attr('text-anchor', side === 'left' ? 'start' : 'end')
      .text(label);
}

/** A box with values beside the pointer or the focused mark. */
export class Tooltip {
  private readonly box = element('div', 'tooltip');

  constructor(private readonly host: HTMLElement) {
    this.box.hidden = true;
    this.box.setAttribute('role', 'status');
    host.append(this.box);
    host.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.hide();
    });
  }

  /** @param x, y pixels from the host's corner */
  show(
    x: number,
    y: number,
    title: string,
    rows: readonly { readonly name: string; readonly value: string; readonly colour?: string }[],
  ): void {
    const lines = rows.map(({ name, value, colour }) => {
      const row = element('div', 'row');
      const label = element('span');
      if (colour) {
        const swatch = element('span', 'swatch');
        swatch.style.background = colour;
        label.append(swatch);
      }
      label.append(name);
      row.append(label, element('span', '', value));
      return row;
    });
    this.box.replaceChildren(element('strong', '', title), ...lines);
    this.box.hidden = false;
    const { offsetWidth, offsetHeight } = this.box;
    const left = x + 14 + offsetWidth > this.host.clientWidth ? x - 14 - offsetWidth : x + 14;
    this.box.style.left = `${Math.max(0, left)}px`;
    this.box.style.top = `${Math.max(0, y - offsetHeight / 2)}px`;
  }

  hide(): void {
    this.box.hidden = true;
  }
}

/** Names of the series with their colours. */
export function legend(items: readonly { readonly name: string; readonly colour: string; readonly isDashed?: boolean }[]): HTMLElement {
  const list = element('ul', 'legend');
  for (const { name, colour, isDashed } of items) {
    const item = element('li');
    const swatch = element('span', isDashed ? 'swatch dashed' : 'swatch');
    swatch.style.setProperty('--colour', colour);
    item.append(swatch, name);
    list.append(item);
  }
  return list;
}

/** Where a key moves a value of a slider-like mark; undefined for other keys. */
export function movedByKey(key: string, value: number, last: number, page = 10): number | undefined {
  const targets: Record<string, number> = {
    ArrowLeft: value - 1,
    ArrowDown: value - 1,
    ArrowRight: value + 1,
    ArrowUp: value + 1,
    PageDown: value - page,
    PageUp: value + page,
    Home: 0,
    End: last,
  };
  const target = targets[key];
  return target === undefined ? undefined : Math.max(0, Math.min(last, target));
}

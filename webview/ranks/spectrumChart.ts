import { line, scaleLinear } from 'd3';
import type { LayerRanks } from '../../engine/contract/decomposition';
import { formatPercent } from '../../engine/contract/format';
import { Tooltip, chartFrame, drawXAxis, drawYAxis, movedByKey } from '../shared/chart';
import { element } from '../shared/elements';

const HEIGHT = 190;
const MARGIN = { top: 26, right: 44, bottom: 36, left: 44 };

/** Singular values as bars, and the part of the weight's energy that the first of them hold: steep compresses, flat does not. */
export class SpectrumChart {
  private ranks: LayerRanks | undefined;
  private focus = 0;
  private readonly tooltip: Tooltip;
  private readonly note = element('p', 'note');

  constructor(private readonly host: HTMLElement) {
    this.tooltip = new Tooltip(host);
    host.append(this.note);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(ranks: LayerRanks): void {
    this.ranks = ranks;
    this.draw();
  }

  private draw(): void {
    const { ranks } = this;
    if (!ranks || this.host.clientWidth === 0) return;
    const { values, energy } = ranks.spectrum;
    const kept = cumulative(values, energy);
    const frame = chartFrame(this.host, HEIGHT, `Singular values of ${ranks.layer}`, MARGIN);
    const largest = values[0] ?? 1;
    const width = (frame.right - frame.left) / Math.max(1, values.length);
    const middle = (i: number): number => frame.left + (i + 0.5) * width;
    const y = scaleLinear([0, largest], [frame.bottom, frame.top]);
    const part = scaleLinear([0, 1], [frame.bottom, frame.top]);
    const x = scaleLinear([0.5, values.length + 0.5], [frame.left, frame.right]);
    drawYAxis(frame, y, { ticks: y.ticks(4), format: (v) => String(Number(v.toPrecision(2))), label: 'Singular value' });
    drawYAxis(frame, part, { ticks: [0, 0.5, 1], format: (v) => formatPercent(v, 0), label: 'Energy kept' }, 'right');
    const ticks = x.ticks(Math.min(values.length, 8)).filter((v) => Number.isInteger(v) && v >= 1);
    drawXAxis(frame, x, { ticks: [...new Set([1, ...ticks])], format: String, label: 'Number of singular values' });
    frame.svg
      .append('g')
      .selectAll('rect')
      .data(values)
      .join('rect')
      .attr('class', 'singular')
      .attr('x', (_, i) => middle(i) - 0.4 * width)
      .attr('width', Math.max(1, 0.8 * width))
      .attr('y', (v) => y(v))
      .attr('height', (v) => frame.bottom - y(v));
    const curve = line<number>(
      (_, i) => middle(i),
      (v) => part(v),
    );
    frame.svg.append('path').attr('class', 'series energy').attr('d', curve(kept));
    this.note.textContent = explain(ranks, kept);
    const show = (i: number): void => {
      this.focus = i;
      this.tooltip.show(middle(i), part(kept[i] ?? 0), `Singular value ${i + 1}`, [
        { name: 'Value', value: String(Number((values[i] ?? 0).toPrecision(3))) },
        { name: `First ${i + 1} keep`, value: formatPercent(kept[i] ?? 0) },
      ]);
    };
    frame.svg
      .attr('tabindex', 0)
      .on('pointermove', (event: PointerEvent) => {
        const i = Math.floor((event.offsetX - frame.left) / width);
        if (i >= 0 && i < values.length) show(i);
      })
      .on('pointerleave blur', () => this.tooltip.hide())
      .on('keydown', (event: KeyboardEvent) => {
        const next = movedByKey(event.key, this.focus, values.length - 1);
        if (next === undefined) return;
        event.preventDefault();
        show(next);
      });
  }
}

function cumulative(values: readonly number[], energy: number): number[] {
  let sum = 0;
  return values.map((v) => (sum += v * v) / Math.max(energy, Number.MIN_VALUE));
}

function explain({ inputs, outputs, op, denseParameters }: LayerRanks, kept: readonly number[]): string {
  const columns = op === 'Conv' ? denseParameters / outputs : inputs;
  const all = Math.min(columns, outputs);
  const shown = kept.length < all ? `the largest ${kept.length} of ${all}` : `all ${all}`;
  const half = kept.findIndex((v) => v >= 0.9);
  const reach = half < 0 ? `together they keep ${formatPercent(kept.at(-1) ?? 0, 0)} of the energy` : `${half + 1} keep 90 % of the energy`;
  return `Shown are ${shown}; ${reach}. Few large values mean that the layer can be written small; many equal ones that it cannot.`;
}

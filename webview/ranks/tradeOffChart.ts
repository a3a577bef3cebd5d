import { format, line, pointer, scaleLinear, scaleLog, symbol } from 'd3';
import type { LayerRanks, RankCandidate } from '../../engine/contract/decomposition';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { type ChartFrame, Tooltip, chartFrame, drawXAxis, drawYAxis, movedByKey } from '../shared/chart';
import { element } from '../shared/elements';
import { FORMS, millisecondsText, modesText, ranksText, shapeOf, styleOf } from './forms';

export type Measure = 'parameters' | 'macs' | 'milliseconds';

interface MeasureText {
  readonly name: string;
  readonly dense: (ranks: LayerRanks) => number;
  readonly tick: (value: number) => string;
  readonly value: (value: number) => string;
}

export const MEASURES: Readonly<Record<Measure, MeasureText>> = {
  parameters: { name: 'Parameters', dense: (r) => r.denseParameters, tick: format('~s'), value: formatCount },
  macs: { name: 'MACs', dense: (r) => r.denseMacs, tick: format('~s'), value: formatCount },
  milliseconds: {
    name: 'Milliseconds',
    dense: (r) => r.denseMilliseconds,
    tick: (v) => String(Number(v.toPrecision(2))),
    value: millisecondsText,
  },
};

const HEIGHT = 340;
const MARGIN = { top: 26, right: 18, bottom: 38, left: 44 };
const AREA = 74;
/** Pixels from which a pointer takes the nearest mark. */
const REACH = 40;

interface Placed {
  readonly candidate: RankCandidate;
  readonly x: number;
  readonly y: number;
}

/** Error of every candidate against its size, its multiply-accumulates or its time, with the front of the best trade-offs. */
export class TradeOffChart {
  private ranks: LayerRanks | undefined;
  private measure: Measure = 'parameters';
  private selected: RankCandidate | undefined;
  private placed: readonly Placed[] = [];
  private readonly tooltip: Tooltip;
  private readonly key = element('ul', 'legend');

  constructor(
    private readonly host: HTMLElement,
    private readonly onChoose: (candidate: RankCandidate) => void,
  ) {
    this.tooltip = new Tooltip(host);
    host.append(this.key);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(ranks: LayerRanks, measure: Measure, selected: RankCandidate | undefined): void {
    Object.assign(this, { ranks, measure, selected });
    this.draw();
  }

  private draw(): void {
    const { ranks, measure } = this;
    if (!ranks || this.host.clientWidth === 0) return;
    const { name, dense, tick, value } = MEASURES[measure];
    const reference = dense(ranks);
    const values = ranks.candidates.map((c) => c[measure]).filter((v) => v > 0);
    const frame = chartFrame(this.host, HEIGHT, `Error against ${name.toLowerCase()} of ${ranks.layer}`, MARGIN);
    const low = Math.min(reference, ...values) / 1.5;
    const high = Math.max(reference, ...values) * 1.5;
    const x = scaleLog([low, high], [frame.left, frame.right]);
    const y = scaleLinear([0, 1], [frame.bottom, frame.top]);
    drawYAxis(frame, y, { ticks: [0, 0.25, 0.5, 0.75, 1], format: (v) => formatPercent(v, 0), label: 'Relative error of the weight' });
    const ticks = logTicks(low, high, Math.max(3, Math.floor((frame.right - frame.left) / 56)));
    drawXAxis(frame, x, { ticks, format: tick, label: `${name}${measure === 'parameters' ? '' : `, batch ${ranks.batch}`}` });
    for (const at of ticks)
      frame.svg.append('line').attr('class', 'tick').attr('x1', x(at)).attr('x2', x(at)).attr('y1', frame.bottom).attr('y2', frame.bottom + 4); // prettier-ignore
    drawDense(frame, x(reference), value(reference));
    this.placed = ranks.candidates.map((candidate) => ({ candidate, x: x(Math.max(low, candidate[measure])), y: y(candidate.error) }));
    drawFront(frame, this.placed, measure);
    this.drawMarks(frame, ranks);
    this.drawLegend(ranks);
    this.listen(frame);
  }

  private drawMarks(frame: ChartFrame, ranks: LayerRanks): void {
    const marks = frame.svg
      .append('g')
      .selectAll('g')
      .data([...this.placed].sort((a, b) => Number(a.candidate === this.selected) - Number(b.candidate === this.selected)))
      .join('g')
      .attr('transform', (p) => `translate(${p.x},${p.y})`);
    marks
      .append('path')
      .attr('class', ({ candidate }) => `mark${isSlower(ranks, candidate) ? ' slower' : ''}`)
      .attr('data-form', ({ candidate }) => candidate.form)
      .attr('d', ({ candidate }) => symbol(styleOf(candidate.form).symbol, AREA)())
      .style('--colour', ({ candidate }) => styleOf(candidate.form).colour);
    marks
      .filter(({ candidate }) => candidate === this.selected)
      .append('circle')
      .attr('class', 'ring')
      .attr('r', 10);
  }

  private drawLegend(ranks: LayerRanks): void {
    const shown = FORMS.filter(({ form }) => ranks.candidates.some((c) => c.form === form));
    const items = shown.map(({ name, colour, symbol: shape }) => legendItem(name, `<path class="mark" style="--colour:${colour}" d="${symbol(shape, 52)() ?? ''}"/>`)); // prettier-ignore
    if (ranks.candidates.some((c) => isSlower(ranks, c)))
      items.push(legendItem('Hollow: slower than dense', `<path class="mark slower" style="--colour:var(--muted)" d="${symbol(FORMS[0]?.symbol, 52)() ?? ''}"/>`)); // prettier-ignore
    items.push(legendItem('Least error for the size', '<line class="front" x1="-8" x2="8" y1="0" y2="0"/>'));
    this.key.replaceChildren(...items);
  }

  private listen(frame: ChartFrame): void {
    const order = [...this.placed].sort((a, b) => a.x - b.x || b.y - a.y);
    const nearest = (event: PointerEvent): Placed | undefined => {
      const [px, py] = pointer(event, frame.svg.node());
      const distance = (p: Placed): number => Math.hypot(p.x - px, p.y - py);
      const best = order.reduce<Placed | undefined>((a, b) => (!a || distance(b) < distance(a) ? b : a), undefined);
      return best && distance(best) < REACH ? best : undefined;
    };
    const show = (placed: Placed | undefined): void => (placed ? this.showTip(placed) : this.tooltip.hide());
    frame.svg
      .attr('tabindex', 0)
      .style('cursor', 'pointer')
      .on('pointermove', (event: PointerEvent) => show(nearest(event)))
      .on('pointerleave blur', () => this.tooltip.hide())
      .on('click', (event: PointerEvent) => {
        const found = nearest(event);
        if (found) this.onChoose(found.candidate);
      })
      .on('keydown', (event: KeyboardEvent) => {
        const at = order.findIndex((p) => p.candidate === this.selected);
        const next = movedByKey(event.key, Math.max(0, at), order.length - 1, 5);
        const placed = next === undefined ? undefined : order[at < 0 ? 0 : next];
        if (!placed) return;
        event.preventDefault();
        this.onChoose(placed.candidate);
        this.showTip(placed);
        this.host.querySelector('svg')?.focus();
      });
  }

  private showTip({ candidate: c, x, y }: Placed): void {
    const { ranks } = this;
    if (!ranks) return;
    const style = styleOf(c.form);
    const shape = shapeOf(ranks, c);
    const rank = ranksText(shape.ranks);
    this.tooltip.show(x, y, style.name, [
      { name: 'Modes', value: modesText(shape) },
      { name: 'Rank', value: c.form === 'block-term' ? `${rank}, ${c.blocks} blocks` : rank },
      { name: 'Error', value: formatPercent(c.error) },
      { name: 'Parameters', value: `${formatCount(c.parameters)} (${(ranks.denseParameters / c.parameters).toPrecision(2)}× fewer)` },
      { name: 'MACs', value: formatCount(c.macs) },
      { name: 'Time', value: `${millisecondsText(c.milliseconds)}, dense ${millisecondsText(ranks.denseMilliseconds)}` },
    ]);
  }
}

export const isSlower = ({ denseMilliseconds }: LayerRanks, { milliseconds }: RankCandidate): boolean => milliseconds > denseMilliseconds;

function legendItem(name: string, mark: string): HTMLElement {
  const item = element('li');
  item.innerHTML = `<svg class="key" width="20" height="14" viewBox="-10 -7 20 14" aria-hidden="true">${mark}</svg>`;
  item.append(name);
  return item;
}

function drawDense(frame: ChartFrame, x: number, value: string): void {
  const group = frame.svg.append('g').attr('class', 'dense');
  group.append('line').attr('x1', x).attr('x2', x).attr('y1', frame.top).attr('y2', frame.bottom);
  group.append('circle').attr('cx', x).attr('cy', frame.bottom).attr('r', 4);
  const isRight = x > (frame.left + frame.right) / 2;
  group
    .append('text')
    .attr('class', 'axis')
    .attr('x', isRight ? x - 6 : x + 6)
    .attr('y', frame.top + 10)
    .attr('text-anchor', isRight ? 'end' : 'start')
    .text(`dense ${value}`);
}

/** The lower left envelope: no candidate has less error with as little of the measure. */
function drawFront(frame: ChartFrame, placed: readonly Placed[], measure: Measure): void {
  let least = Infinity;
  const front = [...placed]
    .sort((a, b) => a.candidate[measure] - b.candidate[measure] || a.candidate.error - b.candidate.error)
    .filter(({ candidate }) => candidate.error < least && (least = candidate.error) >= 0);
  const path = line<Placed>(
    (p) => p.x,
    (p) => p.y,
  );
  frame.svg.append('path').attr('class', 'front').attr('d', path(front));
}

/** At most `most` of 1, 2 and 5 times the powers of ten; powers of ten alone, or every n-th, where those are too many. */
export function logTicks(low: number, high: number, most: number): number[] {
  const powers = (steps: readonly number[]): number[] => {
    const found: number[] = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const step of steps) {
        const value = Number(`${step}e${e}`);
        if (value >= low && value <= high) found.push(value);
      }
    return found;
  };
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const found = powers(steps);
    if (found.length <= most) return found;
  }
  const tens = powers([1]);
  return tens.filter((_, i) => i % Math.ceil(tens.length / most) === 0);
}

import { type ScaleLinear, type Selection, pointer, scaleLinear, select } from 'd3';
import { formatBytes } from '../../engine/contract/format';
import { type ChartFrame, Tooltip, chartFrame, drawXAxis, drawYAxis, movedByKey } from '../shared/chart';
import { element } from '../shared/elements';
import { type PlotLayout, type Scope, drawAreas, kindColour } from './areaCanvas';
import { BudgetLine, type BudgetState } from './budgetLine';
import { byteTicks } from './byteTicks';
import { KIND_NAMES, PHASE_NAMES, type Timeline } from './timeline';

const HEIGHT = 348;
const LANE = { gap: 16, height: 44 };
const MARGIN = { top: 24, right: 104, bottom: 46, left: 46 };
/** Steps at least that are shown at once. */
const NARROWEST = 8;

export interface TimelineEvents {
  /** A step is looked at; undefined when the pointer left. */
  onLook(step: number | undefined): void;
  onPin(step: number): void;
  onReveal(step: number): void;
  onZoom(range: readonly [number, number]): void;
  onBudget(bytes: number | undefined, isFinal: boolean): void;
}

/** Bytes over the steps of one iteration, read by pointer or keys, with the budget as a line that one drags. */
export class TimelineChart {
  private timeline: Timeline | undefined;
  private budget: BudgetState | undefined;
  private top = 1;
  private range: readonly [number, number] = [0, 1];
  private pinned: number | undefined;
  private focus = 0;
  private readonly axes = element('div', 'axes');
  private readonly canvas = element('canvas', 'areas');
  private readonly overlay: Selection<SVGSVGElement, unknown, null, undefined>;
  private readonly marks: Selection<SVGGElement, unknown, null, undefined>;
  private readonly crosshair: Selection<SVGLineElement, unknown, null, undefined>;
  private readonly tooltip: Tooltip;
  private readonly line: BudgetLine;
  private layout: PlotLayout = { width: 0, height: 0, left: 0, right: 1, top: 0, bottom: 1 };

  constructor(
    private readonly host: HTMLElement,
    private readonly events: TimelineEvents,
  ) {
    host.classList.add('timeline');
    this.canvas.setAttribute('aria-hidden', 'true');
    host.append(this.axes, this.canvas);
    this.overlay = select(host).append('svg').attr('class', 'overlay').attr('tabindex', 0).attr('role', 'application');
    this.marks = this.overlay.append('g');
    this.crosshair = this.overlay.append('line').attr('class', 'crosshair').attr('visibility', 'hidden');
    this.line = new BudgetLine(this.overlay, (bytes, isFinal) => events.onBudget(bytes, isFinal));
    this.tooltip = new Tooltip(host);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(host);
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ['class'] });
  }

  /** @param top bytes at the upper edge; it stays the same while one drags */
  show(timeline: Timeline, top: number, budget: BudgetState, isDimmed: boolean): void {
    if (timeline.length !== this.timeline?.length) [this.range, this.pinned] = [[0, timeline.length], undefined];
    [this.timeline, this.top, this.budget] = [timeline, top, budget];
    this.focus = Math.min(this.focus, timeline.length - 1);
    this.host.classList.toggle('dimmed', isDimmed);
    this.draw();
  }

  /** Moves the line alone. */
  showBudget(budget: BudgetState): void {
    this.budget = budget;
    this.line.draw(budget, this.layout, this.top);
    this.drawMarks();
  }

  zoom(range: readonly [number, number]): void {
    this.range = range;
    this.draw();
  }

  pin(step: number | undefined): void {
    this.pinned = step;
    this.drawMarks();
  }

  /** Tensors alive at the step that is looked at; they come later than the rest. */
  showTensors(step: number, tensors: readonly { readonly name: string; readonly value: string; readonly colour: string }[]): void {
    if (this.looked === step) this.tell(step, tensors);
  }

  private looked: number | undefined;

  private get x(): ScaleLinear<number, number> {
    return scaleLinear(this.range, [this.layout.left, this.layout.right]);
  }

  private y(bytes: number): number {
    const { top, bottom } = this.layout;
    return bottom - ((bottom - top) * bytes) / this.top;
  }

  private draw(): void {
    const { timeline } = this;
    if (!timeline || this.host.clientWidth === 0) return;
    const hasLane = timeline.mostOffloaded > 0;
    const frame = chartFrame(this.axes, HEIGHT, 'Bytes in the pool over the steps of one iteration', MARGIN);
    const bottom = hasLane ? frame.bottom - LANE.gap - LANE.height : frame.bottom;
    const lane = hasLane ? { lane: { top: frame.bottom - LANE.height, bottom: frame.bottom } } : {};
    const { width, height, left, right, top } = frame;
    this.layout = { width, height, left, right, top, bottom, ...lane };
    for (const node of [this.canvas, this.overlay.node()]) if (node) [node.style.width, node.style.height] = [`${width}px`, `${height}px`];
    const { ticks, format, unit } = byteTicks(this.top, 5);
    drawYAxis({ ...frame, bottom }, scaleLinear([0, this.top], [bottom, top]), { ticks, format, label: unit });
    const { x } = this;
    const count = Math.max(2, Math.floor((right - left) / 90));
    const steps = x.ticks(count).filter(Number.isInteger);
    drawXAxis(frame, centred(x), { ticks: steps, format: String, label: 'steps of one training iteration' });
    if (hasLane) this.nameLane(frame, timeline);
    const [from, to] = this.range;
    const scope: Scope = { from, to, top: this.top };
    drawAreas(this.canvas, timeline, this.layout, scope);
    this.drawMarks();
    if (this.budget) this.line.draw(this.budget, this.layout, this.top);
  }

  private nameLane({ svg }: ChartFrame, { mostOffloaded }: Timeline): void {
    const { lane, right } = this.layout;
    if (!lane) return;
    const text = (y: number, words: string): void =>
      void svg
        .append('text')
        .attr('class', 'axis')
        .attr('x', right + 8)
        .attr('y', y)
        .text(words);
    text(lane.top + 10, 'out of the pool');
    text(lane.top + 25, `up to ${formatBytes(mostOffloaded)}`);
    svg.append('line').attr('class', 'baseline').attr('x1', this.layout.left).attr('x2', right).attr('y1', lane.top).attr('y2', lane.top);
  }

  /** Names of the passes, the border between them, the peak and the pinned step. */
  private drawMarks(): void {
    const { timeline, marks, layout, x } = this;
    marks.selectAll('*').remove();
    if (!timeline) return;
    const border = x(timeline.backward);
    const inside = (px: number): number => Math.max(layout.left, Math.min(layout.right, px));
    const name = (from: number, to: number, words: string): void => {
      if (to - from < 7 * words.length) return;
      marks
        .append('text')
        .attr('class', 'pass')
        .attr('x', (from + to) / 2)
        .attr('y', 11)
        .attr('text-anchor', 'middle')
        .text(words);
    };
    name(layout.left, inside(border), 'forward');
    name(inside(border), layout.right, 'backward and update');
    if (border > layout.left && border < layout.right)
      marks
        .append('line')
        .attr('class', 'border')
        .attr('x1', border)
        .attr('x2', border)
        .attr('y1', 4)
        .attr('y2', layout.lane?.bottom ?? layout.bottom);
    this.markPeak(timeline);
    if (this.pinned !== undefined)
      marks
        .append('rect')
        .attr('class', 'pinned')
        .attr('x', inside(x(this.pinned)) - 0.5)
        .attr('width', Math.max(2, inside(x(this.pinned + 1)) - inside(x(this.pinned)) + 1))
        .attr('y', layout.top)
        .attr('height', (layout.lane?.bottom ?? layout.bottom) - layout.top);
  }

  private markPeak(timeline: Timeline): void {
    const { layout } = this;
    const px = this.x(timeline.peak + 0.5);
    if (px < layout.left || px > layout.right) return;
    const bytes = timeline.totals[timeline.peak] ?? 0;
    const y = this.y(bytes);
    const words = `peak ${formatBytes(bytes)}`;
    const whole = `${words} in ${timeline.layer(timeline.peak)}, ${PHASE_NAMES[timeline.phase(timeline.peak)]}`;
    const text = textWidth(whole) < layout.right - layout.left ? whole : words;
    const isLeft = px > (layout.left + layout.right) / 2;
    const start = isLeft ? px - 9 - textWidth(text) : px + 9;
    const group = this.marks.append('g').attr('class', 'peak');
    group.append('circle').attr('cx', px).attr('cy', y).attr('r', 4);
    group
      .append('text')
      .attr('x', Math.max(layout.left + 4, Math.min(layout.right - 4 - textWidth(text), start)))
      .attr('y', this.clearOfBudget(y - 6))
      .text(text);
  }

  /** A line of text at this height, or over the budget's line where the two would meet. */
  private clearOfBudget(y: number): number {
    const { budget } = this;
    const line = budget ? this.y(Math.min(this.top, budget.budget ?? budget.pool)) : -Infinity;
    return line > y - 16 && line < y + 8 ? line - 6 : y;
  }

  private look(step: number | undefined): void {
    this.looked = step;
    this.crosshair.attr('visibility', step === undefined ? 'hidden' : 'visible');
    if (step === undefined) this.tooltip.hide();
    else {
      this.focus = step;
      const px = this.x(step + 0.5);
      const { top, bottom, lane } = this.layout;
      this.crosshair
        .attr('x1', px)
        .attr('x2', px)
        .attr('y1', top)
        .attr('y2', lane?.bottom ?? bottom);
      this.tell(step, []);
    }
    this.events.onLook(step);
  }

  private tell(step: number, tensors: readonly { readonly name: string; readonly value: string; readonly colour: string }[]): void {
    const { timeline } = this;
    if (!timeline) return;
    const kinds = timeline.kinds.flatMap((kind) => {
      const bytes = timeline.bytes(kind, step);
      return bytes > 0 ? [{ name: KIND_NAMES[kind], value: formatBytes(bytes), colour: kindColour(kind) }] : [];
    });
    const away = timeline.offloaded[step] ?? 0;
    const rows = [
      { name: 'in the pool', value: formatBytes(timeline.totals[step] ?? 0) },
      ...kinds.reverse(),
      ...(away > 0 ? [{ name: 'out of the pool', value: formatBytes(away), colour: 'var(--offloaded)' }] : []),
      ...(tensors.length > 0 ? [{ name: 'largest tensors alive', value: '' }] : []),
      ...tensors,
    ];
    const title = `${timeline.layer(step)} · ${PHASE_NAMES[timeline.phase(step)]} · step ${step}`;
    this.tooltip.show(this.x(step + 0.5), (this.layout.top + this.layout.bottom) / 2, title, rows);
  }

  private stepAt(event: PointerEvent | MouseEvent): number | undefined {
    const [px, py] = pointer(event, this.overlay.node());
    const { left, right, top, bottom, lane } = this.layout;
    if (!this.timeline || px < left || px >= right || py < top || py > (lane?.bottom ?? bottom)) return undefined;
    return Math.max(0, Math.min(this.timeline.length - 1, Math.floor(this.x.invert(px))));
  }

  private listen(): void {
    this.overlay
      .on('pointermove', (event: PointerEvent) => {
        if (!this.line.isDragged) this.look(this.stepAt(event));
      })
      .on('pointerleave', () => this.look(undefined))
      .on('blur', () => this.look(undefined))
      .on('click', (event: MouseEvent) => {
        const step = this.stepAt(event);
        if (step !== undefined && !event.defaultPrevented) this.events.onPin(step);
      })
      .on('dblclick', (event: MouseEvent) => {
        const step = this.stepAt(event);
        if (step !== undefined) this.events.onReveal(step);
      })
      .on('wheel', (event: WheelEvent) => this.wheel(event))
      .on('keydown', (event: KeyboardEvent) => this.key(event));
  }

  private wheel(event: WheelEvent): void {
    const step = this.stepAt(event);
    if (step === undefined || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.zoomAround(this.x.invert(pointer(event, this.overlay.node())[0]), event.deltaY > 0 ? 1.25 : 0.8);
  }

  private zoomAround(centre: number, factor: number): void {
    const length = this.timeline?.length ?? 1;
    const [from, to] = this.range;
    const wide = Math.max(Math.min(NARROWEST, length), Math.min(length, (to - from) * factor));
    const start = Math.max(0, Math.min(length - wide, centre - ((centre - from) / (to - from)) * wide));
    this.events.onZoom([start, start + wide]);
  }

  private key(event: KeyboardEvent): void {
    const length = this.timeline?.length ?? 0;
    if (event.target !== this.overlay.node() || length === 0) return;
    const next = movedByKey(event.key, this.focus, length - 1);
    if (next !== undefined) this.moveTo(next, length);
    else if (event.key === '+' || event.key === '=') this.zoomAround(this.focus + 0.5, 0.7);
    else if (event.key === '-') this.zoomAround(this.focus + 0.5, 1.4);
    else if (event.key === '0') this.events.onZoom([0, length]);
    else if (event.key === ' ') this.events.onPin(this.focus);
    else if (event.key === 'Enter') this.events.onReveal(this.focus);
    else if (event.key === 'p') this.moveTo(this.timeline?.peak ?? 0, length);
    else return;
    event.preventDefault();
  }

  private moveTo(step: number, length: number): void {
    const [from, to] = this.range;
    if (step < from || step >= to) {
      const start = Math.max(0, Math.min(length - (to - from), step - (to - from) / 2));
      this.events.onZoom([start, start + to - from]);
    }
    this.look(step);
  }
}

/** Of the label at the peak, about. */
const textWidth = (text: string): number => 6.7 * text.length;

/** Maps a step to the middle of its stretch. */
function centred(x: ScaleLinear<number, number>): ScaleLinear<number, number> {
  const [from = 0, to = 1] = x.domain();
  return x.copy().domain([from - 0.5, to - 0.5]);
}

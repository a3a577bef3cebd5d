import { type Selection, pointer } from 'd3';
import { formatBytes } from '../../engine/contract/format';
import type { PlotLayout } from './areaCanvas';
import { byteTicks } from './byteTicks';

export interface BudgetState {
  /** None: the line lies at the pool that holds everything and is dashed. */
  readonly budget?: number;
  readonly pool: number;
  /** Least budget of the policy; the budget below it is impossible. */
  readonly floor: number;
}

/** Labels at the right edge closer than this would overlap. */
const LABEL_HEIGHT = 30;

/** The line of the budget with its handle at the right edge: dragged, or moved by keys as a slider. */
export class BudgetLine {
  isDragged = false;
  private readonly floor: Selection<SVGGElement, unknown, null, undefined>;
  private readonly handle: Selection<SVGGElement, unknown, null, undefined>;
  private state: BudgetState | undefined;
  private layout: PlotLayout | undefined;
  private top = 1;

  constructor(
    private readonly svg: Selection<SVGSVGElement, unknown, null, undefined>,
    private readonly onMove: (bytes: number | undefined, isFinal: boolean) => void,
  ) {
    this.floor = svg.append('g').attr('class', 'floor');
    this.floor.append('line');
    this.floor.append('text').attr('class', 'axis');
    this.handle = svg.append('g').attr('class', 'budget').attr('role', 'slider').attr('tabindex', 0).attr('aria-label', 'Memory budget');
    this.handle.append('line').attr('class', 'reach');
    this.handle.append('line').attr('class', 'rule');
    this.handle.append('rect').attr('rx', 3).attr('height', 34).attr('width', 92);
    this.handle.append('text').attr('class', 'what');
    this.handle.append('text').attr('class', 'bytes');
    this.listen();
  }

  draw(state: BudgetState, layout: PlotLayout, top: number): void {
    [this.state, this.layout, this.top] = [state, layout, top];
    const { budget, pool, floor } = state;
    const { left, right } = layout;
    const bytes = budget ?? pool;
    const [y, floorY] = [this.y(bytes), this.y(floor)];
    const isImpossible = budget !== undefined && budget < floor;
    this.handle
      .attr('class', `budget${isImpossible ? ' impossible' : ''}${budget === undefined ? ' none' : ''}`)
      .attr('transform', `translate(0,${y})`)
      .attr('aria-valuemin', 0)
      .attr('aria-valuemax', Math.round(top))
      .attr('aria-valuenow', Math.round(bytes))
      .attr(
        'aria-valuetext',
        budget === undefined ? `none, the pool takes ${formatBytes(pool)}` : `${formatBytes(budget)}${isImpossible ? ', impossible' : ''}`,
      );
    this.handle
      .selectAll('line')
      .attr('x1', left)
      .attr('x2', right + 6);
    this.handle
      .select('rect')
      .attr('x', right + 6)
      .attr('y', -17);
    this.handle
      .select('.what')
      .attr('x', right + 14)
      .attr('y', -4)
      .text(budget === undefined ? 'no budget' : isImpossible ? 'impossible' : 'budget');
    this.handle
      .select('.bytes')
      .attr('x', right + 14)
      .attr('y', 11)
      .text(formatBytes(bytes));
    this.floor.select('line').attr('x1', left).attr('x2', right).attr('y1', floorY).attr('y2', floorY);
    const isClose = Math.abs(floorY - y) < LABEL_HEIGHT;
    const below = Math.min(layout.bottom - 2, isClose ? Math.max(floorY, y) + LABEL_HEIGHT : floorY);
    this.floor
      .select('text')
      .attr('x', right + 14)
      .attr('y', isClose && below - y < LABEL_HEIGHT ? y - LABEL_HEIGHT + 6 : below)
      .attr('dy', '0.32em')
      .text(`least ${formatBytes(floor)}`);
    this.floor.attr('visibility', floor < pool || isImpossible ? 'visible' : 'hidden');
  }

  private y(bytes: number): number {
    if (!this.layout) return 0;
    const { top, bottom } = this.layout;
    return bottom - ((bottom - top) * Math.min(bytes, this.top)) / this.top;
  }

  private listen(): void {
    const node = (): SVGSVGElement => this.svg.node() as SVGSVGElement;
    const move = (event: PointerEvent, isFinal: boolean): void => {
      if (!this.layout) return;
      const { top, bottom } = this.layout;
      const part = (bottom - pointer(event, node())[1]) / (bottom - top);
      this.onMove(this.rounded(this.top * Math.max(0.005, Math.min(1, part))), isFinal);
    };
    const element = this.handle.node() as SVGGElement;
    this.handle
      .on('pointerdown', (event: PointerEvent) => {
        element.setPointerCapture(event.pointerId);
        this.isDragged = true;
        event.preventDefault();
        element.focus();
      })
      .on('pointermove', (event: PointerEvent) => {
        if (this.isDragged) move(event, false);
      })
      .on('pointerup', (event: PointerEvent) => {
        if (!this.isDragged) return;
        this.isDragged = false;
        move(event, true);
      })
      .on('lostpointercapture', () => (this.isDragged = false))
      .on('click dblclick', (event: MouseEvent) => {
        event.preventDefault();
        event.stopPropagation();
      })
      .on('keydown', (event: KeyboardEvent) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    if (!this.state) return;
    const { budget, pool, floor } = this.state;
    const page = { PageUp: 0.1, PageDown: -0.1, ArrowUp: 0.01, ArrowRight: 0.01, ArrowDown: -0.01, ArrowLeft: -0.01 }[event.key];
    const target =
      event.key === 'Home' ? floor : event.key === 'End' ? pool : page === undefined ? undefined : (budget ?? pool) + page * this.top;
    if (event.key === 'Delete' || event.key === 'Backspace') this.onMove(undefined, true);
    else if (target === undefined) return;
    else this.onMove(event.key === 'Home' ? Math.ceil(target) : this.rounded(Math.max(1, Math.min(this.top, target))), true);
    event.preventDefault();
    event.stopPropagation();
  }

  /** To the digit that is shown. */
  private rounded(bytes: number): number {
    const { unit } = byteTicks(bytes, 5);
    const digit = 1024 ** ['B', 'KiB', 'MiB', 'GiB', 'TiB'].indexOf(unit) / 10;
    return Math.max(1, Math.round(Math.round(bytes / digit) * digit));
  }
}

import { max, pointer, scaleLinear, scaleLog, scaleSequential, select } from 'd3';
import type { ImportanceReport } from '../../engine/contract/models';
import type { Cut, RankedFilter } from './ranking';

const HEIGHT = 168;
const MARGIN = { top: 10, right: 12, bottom: 24, left: 52 };

/** The sorted scores of all filters with a threshold that is dragged or moved by keys. */
export class RankingChart {
  private rank = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly ranked: readonly RankedFilter[],
    private readonly onMove: (rank: number) => void,
  ) {}

  draw(rank: number): void {
    this.rank = rank;
    const width = Math.max(260, this.host.clientWidth);
    const { ranked } = this;
    const scores = ranked.map((f) => f.score).filter((s) => s > 0);
    const [low, high] = [scores[0] ?? 1e-6, scores.at(-1) ?? 1];
    const x = scaleLinear([0, ranked.length], [MARGIN.left, width - MARGIN.right]);
    const y = scaleLog([low, Math.max(high, low * 1.01)], [HEIGHT - MARGIN.bottom, MARGIN.top]).clamp(true);
    const svg = select(this.host)
      .selectAll<SVGSVGElement, null>('svg')
      .data([null])
      .join('svg')
      .attr('width', width)
      .attr('height', HEIGHT)
      .attr('class', 'ranking');
    svg.selectAll('*').remove();
    svg
      .append('rect')
      .attr('class', 'cut-area')
      .attr('x', MARGIN.left)
      .attr('y', MARGIN.top)
      .attr('width', x(rank) - MARGIN.left)
      .attr('height', HEIGHT - MARGIN.top - MARGIN.bottom);
    const ticks = y.ticks(3).filter((_, i, all) => all.length <= 5 || i % Math.ceil(all.length / 4) === 0);
    for (const tick of ticks) {
      svg
        .append('line')
        .attr('class', 'grid')
        .attr('x1', MARGIN.left)
        .attr('x2', width - MARGIN.right)
        .attr('y1', y(tick))
        .attr('y2', y(tick));
      svg
        .append('text')
        .attr('class', 'axis')
        .attr('x', MARGIN.left - 6)
        .attr('y', y(tick))
        .attr('dy', '0.32em')
        .attr('text-anchor', 'end')
        .text(tick.toExponential(0));
    }
    const points = ranked.map((f, i) => `${x(i + 0.5)},${y(Math.max(f.score, low))}`).join(' ');
    svg.append('polyline').attr('class', 'curve').attr('points', points);
    svg
      .append('text')
      .attr('class', 'axis')
      .attr('x', MARGIN.left)
      .attr('y', HEIGHT - 6)
      .text('least important');
    svg
      .append('text')
      .attr('class', 'axis')
      .attr('x', width - MARGIN.right)
      .attr('y', HEIGHT - 6)
      .attr('text-anchor', 'end')
      .text(`${ranked.length} filters`);
    this.drawHandle(svg.node() as SVGSVGElement, x);
  }

  private drawHandle(node: SVGSVGElement, x: (rank: number) => number): void {
    const svg = select(node);
    const handle = svg
      .append('g')
      .attr('class', 'threshold')
      .attr('transform', `translate(${x(this.rank)},0)`)
      .attr('role', 'slider')
      .attr('tabindex', 0)
      .attr('aria-label', 'Threshold: filters to the left are cut')
      .attr('aria-valuemin', 0)
      .attr('aria-valuemax', this.ranked.length)
      .attr('aria-valuenow', this.rank);
    handle
      .append('line')
      .attr('y1', MARGIN.top)
      .attr('y2', HEIGHT - MARGIN.bottom);
    handle
      .append('rect')
      .attr('x', -5)
      .attr('y', HEIGHT / 2 - 22)
      .attr('width', 10)
      .attr('height', 28)
      .attr('rx', 3);
    const scale = scaleLinear([x(0), x(this.ranked.length)], [0, this.ranked.length]).clamp(true);
    const move = (event: PointerEvent): void => this.moveTo(Math.round(scale(pointer(event, node)[0])));
    svg.on('pointerdown', (event: PointerEvent) => {
      node.setPointerCapture(event.pointerId);
      move(event);
    });
    svg.on('pointermove', (event: PointerEvent) => {
      if (node.hasPointerCapture(event.pointerId)) move(event);
    });
    handle.on('keydown', (event: KeyboardEvent) => {
      const steps: Record<string, number> = {
        ArrowLeft: -1,
        ArrowDown: -1,
        ArrowRight: 1,
        ArrowUp: 1,
        PageDown: -10,
        PageUp: 10,
        Home: -this.ranked.length,
        End: this.ranked.length,
      };
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.moveTo(this.rank + step);
      node.querySelector<SVGGElement>('.threshold')?.focus();
    });
  }

  private moveTo(rank: number): void {
    const next = Math.max(0, Math.min(this.ranked.length, rank));
    if (next === this.rank) return;
    this.draw(next);
    this.onMove(next);
  }
}

const CELL = 11;

/** Every filter of every group as a cell: colour by score, hollow where it would be cut. */
export function drawGroups(host: HTMLElement, report: ImportanceReport, ranked: readonly RankedFilter[], cut: Cut): void {
  const place = new Map(ranked.map((f, i) => [`${f.group}:${f.channel}`, i / Math.max(1, ranked.length - 1)]));
  const shade = scaleSequential([0, 1], (t: number) => 0.16 + 0.84 * t);
  const rows = select(host)
    .selectAll<HTMLDivElement, ImportanceReport['groups'][number]>('div.group')
    .data(report.groups, (d) => d.id)
    .join((enter) => {
      const row = enter.append('div').attr('class', 'group');
      row.append('div').attr('class', 'group-name');
      row.append('div').attr('class', 'group-count');
      row.append('svg').attr('class', 'cells').attr('role', 'img');
      return row;
    });
  rows
    .select('.group-name')
    .text((d) => d.id)
    .attr('title', (d) => d.layers.join('\n'));
  rows.select('.group-count').text((d) => {
    const gone = cut.removed.get(d.id)?.size ?? 0;
    return gone > 0 ? `${d.scores.length - gone} of ${d.scores.length}` : String(d.scores.length);
  });
  const width = host.clientWidth;
  rows.each(function (d) {
    const perRow = Math.max(8, Math.floor((width < 560 ? width - 8 : width - 276) / CELL));
    const cells = select(this).select<SVGSVGElement>('svg');
    cells.attr('width', Math.min(perRow, d.scores.length) * CELL).attr('height', Math.ceil(d.scores.length / perRow) * CELL);
    const gone = cut.removed.get(d.id);
    cells.attr('aria-label', `${d.id}: ${gone?.size ?? 0} of ${d.scores.length} filters would be cut`);
    cells
      .selectAll<SVGRectElement, number>('rect')
      .data(d.scores)
      .join((enter) => {
        const cell = enter
          .append('rect')
          .attr('width', CELL - 2)
          .attr('height', CELL - 2)
          .attr('rx', 1.5);
        cell.append('title');
        return cell;
      })
      .attr('x', (_, i) => (i % perRow) * CELL + 1)
      .attr('y', (_, i) => Math.floor(i / perRow) * CELL + 1)
      .attr('class', (_, i) => (gone?.has(i) ? 'cell cut' : 'cell'))
      .style('fill-opacity', (_, i) => (gone?.has(i) ? 0 : shade(place.get(`${d.id}:${i}`) ?? 0)))
      .select('title')
      .text((score, i) => `filter ${i}: ${score.toPrecision(3)}`);
  });
}

export const largestOf = (values: readonly number[]): number => max(values) ?? 0;

import { formatPercent } from '../../engine/contract/format';
import type { TickTockPoint } from '../../engine/contract/tickTock';
import type { TickTockPageState } from '../../engine/contract/tickTockPage';
import { seriesColour } from '../shared/chart';
import { element } from '../shared/elements';
import { LineChart, type LineChartOptions } from '../shared/lineChart';
import { PHASES, bandsOf } from './phases';
import { RemovedChart } from './removedChart';

const HEIGHT = 190;

/** Accuracy, loss, cost and filters removed over the passes of a run. */
export class CurvesView {
  readonly element = element('div', 'curves');
  private readonly accuracy: LineChart;
  private readonly cost: LineChart;
  private readonly loss: LineChart;
  private readonly removed: RemovedChart;
  private points: readonly TickTockPoint[] = [];

  constructor(onChoose: (point: TickTockPoint) => void) {
    const chart = (className: string, options: Pick<LineChartOptions, 'label' | 'yLabel' | 'formatY' | 'hasLegend'>): LineChart =>
      new LineChart(this.place(className), {
        xLabel: 'passes over the data',
        height: HEIGHT,
        titleOf: (passes) => this.titleOf(passes),
        onChoose: (passes) => {
          const chosen = this.points.find((p) => p.passes === passes);
          if (chosen) onChoose(chosen);
        },
        ...options,
      });
    const percent = (value: number): string => `${Number((100 * value).toFixed(2))} %`;
    this.accuracy = chart('accuracy-chart', { label: 'Accuracy over the run', yLabel: 'accuracy, test samples', formatY: percent });
    this.cost = chart('cost-chart', { label: 'MACs left over the run', yLabel: 'left of the network', formatY: percent });
    this.loss = chart('loss-chart', { label: 'Training loss over the run', yLabel: 'training loss' });
    this.removed = new RemovedChart(this.place('removed-chart'));
    const key = element('ul', 'legend phases');
    for (const { name, colour } of Object.values(PHASES)) {
      const item = element('li');
      const swatch = element('span', 'swatch');
      swatch.style.background = seriesColour(colour);
      item.append(swatch, name);
      key.append(item);
    }
    this.element.append(key);
  }

  show({ whole, run }: TickTockPageState): void {
    const points = run?.points ?? [];
    this.points = points;
    const bands = bandsOf(points);
    const last = points.at(-1)?.passes ?? 1;
    const over = (value: (p: TickTockPoint) => number): (readonly [number, number])[] => points.map((p) => [p.passes, value(p)]);
    const hasDots = points.length < 60;
    this.accuracy.show([{ name: 'accuracy', points: over((p) => p.accuracy), colour: 0, hasDots }], bands);
    this.loss.show([{ name: 'loss', points: over((p) => p.loss), colour: 1, hasDots }], bands);
    const budget = run?.budget ?? {};
    const wanted = budget.flops ?? budget.params;
    this.cost.show(
      [
        { name: 'MACs', points: [[0, 1], ...over((p) => p.macs / whole.macs)], colour: 0 },
        { name: 'parameters', points: [[0, 1], ...over((p) => p.parameters / whole.parameters)], colour: 2 },
        ...(wanted === undefined
          ? []
          : [{ name: 'budget', points: [[0, wanted] as const, [last, wanted] as const], colour: 4, isDashed: true }]),
      ],
      bands,
    );
    this.removed.show(points);
  }

  private titleOf(passes: number): string {
    const point = this.points.find((p) => p.passes === passes);
    return point ? nameOf(point) : 'Start';
  }

  private place(className: string): HTMLElement {
    const host = element('div', className);
    this.element.append(host);
    return host;
  }
}

const nameOf = ({ phase, ticks }: TickTockPoint): string =>
  phase === 'tick' ? `Tick ${ticks}` : `${PHASES[phase].name} after Tick ${ticks}`;

export const describePoint = (point: TickTockPoint, whole: { macs: number }): string => {
  const { accuracy, macs, filters } = point;
  return `${nameOf(point)}: ${formatPercent(accuracy, 2)} correct, ${formatPercent(macs / whole.macs)} of the MACs, ${filters} filters`;
};

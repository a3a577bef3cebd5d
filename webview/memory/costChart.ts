import type { MemoryCost, MemoryPolicy, PolicyReport } from '../../engine/contract/memory';
import type { MemoryChoice } from '../../engine/contract/memoryPage';
import { element } from '../shared/elements';
import { LineChart, type Series } from '../shared/lineChart';
import { byteTicks } from './byteTicks';

const COLOURS: Readonly<Partial<Record<MemoryPolicy, number>>> = { auto: 0, offload: 1, recompute: 2 };

/** Time that budgets add, for every policy that saves; a point that is clicked becomes the budget. */
export class CostChart {
  private chart: LineChart | undefined;
  private shape = '';
  private readonly drawing = element('div', 'cost-chart');
  private readonly empty = element('p', 'empty');
  private scale = 1;

  constructor(
    host: HTMLElement,
    private readonly onChoose: (budget: number, policy: MemoryPolicy) => void,
  ) {
    host.append(this.empty, this.drawing);
  }

  show(costs: readonly MemoryCost[], { budget, policy }: MemoryChoice, own: PolicyReport | undefined): void {
    this.drawing.hidden = costs.length === 0;
    this.empty.hidden = costs.length > 0;
    this.empty.textContent = 'No policy saves anything below the pool that holds everything.';
    if (costs.length === 0) return;
    const { unit } = byteTicks(Math.max(...costs.map((c) => c.budget)), 5);
    this.scale = 1024 ** ['B', 'KiB', 'MiB', 'GiB', 'TiB'].indexOf(unit);
    const policies = [...new Set(costs.map((c) => c.policy))];
    const series = policies.map((name): Series => ({
      name,
      colour: COLOURS[name] ?? 3,
      hasDots: true,
      points: costs
        .filter((c) => c.policy === name)
        .sort((a, b) => a.budget - b.budget)
        .map((c) => [c.budget / this.scale, 100 * c.extraFraction]),
    }));
    const chosen = budget !== undefined && own?.feasible ? [[budget / this.scale, 100 * (own.extraFraction ?? 0)] as const] : [];
    this.policy = policy;
    const most = 1.05 * Math.max(1e-3, ...series.flatMap((s) => s.points.map((p) => p[1])), ...chosen.map((p) => p[1]));
    this.chartFor(unit, most).show(chosen.length > 0 ? [...series, { name: 'this budget', colour: 4, points: chosen }] : series);
  }

  /** The axes are fixed: their unit and the most that they show. */
  private chartFor(unit: string, most: number): LineChart {
    const shape = `${unit} ${most}`;
    if (this.chart && this.shape === shape) return this.chart;
    this.shape = shape;
    const fresh = element('div');
    this.drawing.replaceChildren(fresh);
    this.chart = new LineChart(fresh, {
      label: 'Time added to a training step against the budget',
      xLabel: `budget, ${unit}`,
      yLabel: 'time added, %',
      yDomain: [0, most],
      onChoose: (x) => this.onChoose(Math.ceil(x * this.scale), this.policy),
    });
    return this.chart;
  }

  private policy: MemoryPolicy = 'auto';
}

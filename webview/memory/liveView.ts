import { formatBytes } from '../../engine/contract/format';
import type { LiveStep } from '../../engine/contract/memoryPage';
import { element, figures } from '../shared/elements';
import { LineChart } from '../shared/lineChart';

/** Steps that are drawn at once. */
const MOST_POINTS = 400;

/** A training within planned memory while it runs: what its pool, spill and process take and how long its steps are. */
export class LiveView {
  readonly element = element('section', 'live');
  private readonly title = element('h2');
  private readonly figures = element('div', 'effect');
  private readonly drawing = element('div', 'live-chart');
  private readonly chart: LineChart;
  private steps: LiveStep[] = [];

  constructor() {
    this.element.hidden = true;
    this.element.append(this.title, this.figures, this.drawing);
    this.chart = new LineChart(this.drawing, {
      label: 'Time of every training step',
      xLabel: 'step',
      yLabel: 'seconds a step',
      height: 124,
    });
  }

  show(step: LiveStep): void {
    const last = this.steps.at(-1);
    if (last && (last.title !== step.title || last.step > step.step)) this.steps = [];
    this.steps = [...this.steps.slice(1 - MOST_POINTS), step];
    const { poolBytes, peakBytes, spillBytes, trafficBytes, stepSeconds, processBytes } = step.memory;
    this.element.hidden = false;
    this.title.textContent = `${step.title}: step ${step.step} of ${step.total}`;
    this.figures.replaceChildren(
      figures(
        [
          { id: 'live-pool', name: 'Pool in use', value: formatBytes(peakBytes), detail: `at most, of ${formatBytes(poolBytes)}` },
          { id: 'live-spill', name: 'Spill', value: formatBytes(spillBytes), detail: `${formatBytes(trafficBytes)} moved a step` },
          { id: 'live-step', name: 'Step', value: `${stepSeconds.toFixed(2)} s`, detail: 'measured' },
          { id: 'live-process', name: 'Engine process', value: formatBytes(processBytes), detail: 'with weights, data and runtime' },
        ],
        'small',
      ),
    );
    this.chart.show([{ name: 'step', points: this.steps.map((s) => [s.step, s.memory.stepSeconds]) }]);
  }

  end(title: string): void {
    this.title.textContent = `${title}: ended`;
  }
}

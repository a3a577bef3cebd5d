import { formatBytes, formatPercent } from '../../engine/contract/format';
import { type TrainingMemory, hiddenPart } from '../../engine/contract/memory';
import type { LivePool, LiveStep } from '../../engine/contract/memoryPage';
import { type Figure, element, figures } from '../shared/elements';
import { LineChart } from '../shared/lineChart';
import { StepTrace } from './stepTrace';

/** Steps that are drawn at once. */
const MOST_STEPS = 400;
const MIB = 2 ** 20;

/** A training within planned memory while it runs: what its pool holds within the step, its spill and process, and how long its steps are. */
export class LiveView {
  readonly element = element('section', 'live');
  private readonly title = element('h2');
  private readonly figures = element('div', 'effect');
  private readonly pool: LineChart;
  private readonly times: LineChart;
  private readonly trace = new StepTrace();
  private steps: LiveStep[] = [];
  private run = '';
  private frame = 0;

  constructor() {
    const [pool, times] = [element('div', 'live-pool'), element('div', 'live-times')];
    const charts = element('div', 'live-charts');
    charts.append(pool, times);
    this.element.hidden = true;
    this.element.append(this.title, this.figures, charts);
    this.pool = new LineChart(pool, {
      label: 'Bytes in the pool over the time of the step that is running',
      xLabel: 'seconds into the step',
      yLabel: 'MiB in the pool',
      height: 168,
      isYFromZero: true,
    });
    this.times = new LineChart(times, {
      label: 'Time of every training step',
      xLabel: 'step',
      yLabel: 'seconds a step',
      height: 168,
      isYFromZero: true,
    });
  }

  show(step: LiveStep): void {
    this.begin(step.title);
    if ((this.steps.at(-1)?.step ?? 0) > step.step) this.steps = [];
    this.steps = [...this.steps.slice(1 - MOST_STEPS), step];
    this.element.hidden = false;
    this.title.textContent = `${step.title}: step ${step.step} of ${step.total}`;
    this.draw();
  }

  showPool({ title, step, ...trace }: LivePool): void {
    this.begin(title);
    this.trace.add(step, trace);
    this.element.hidden = false;
    if (this.steps.length === 0) this.title.textContent = `${title}: step ${step}`;
    this.draw();
  }

  end(title: string, memory: TrainingMemory | undefined): void {
    this.title.textContent = `${title}: ended`;
    if (memory) this.figures.replaceChildren(figures(totals(memory), 'small'));
  }

  private begin(run: string): void {
    if (run === this.run) return;
    [this.run, this.steps] = [run, []];
    this.trace.clear();
  }

  /** Once for every frame of the screen, however many messages come. */
  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const last = this.steps.at(-1);
      if (last) this.figures.replaceChildren(figures(ofStep(last), 'small'));
      this.pool.show([
        { name: 'this step', points: inMebibytes(this.trace.current), colour: 0 },
        ...(this.trace.previous.length > 0
          ? [{ name: 'step before (dashed)', points: inMebibytes(this.trace.previous), colour: 0, isDashed: true }]
          : []),
      ]);
      this.times.show([{ name: 'step', points: this.steps.map((s) => [s.step, s.memory.stepSeconds]) }]);
    });
  }
}

const inMebibytes = (points: readonly (readonly [number, number])[]): [number, number][] => points.map(([at, bytes]) => [at, bytes / MIB]);

function ofStep({ memory }: LiveStep): Figure[] {
  const { poolBytes, plannedPeakBytes, peakBytes = plannedPeakBytes, spillBytes, trafficBytes, stepSeconds, processBytes } = memory;
  const planned = peakBytes === plannedPeakBytes ? 'as planned' : `${formatBytes(plannedPeakBytes)} planned`;
  return [
    { id: 'live-pool', name: 'Pool in use', value: formatBytes(peakBytes), detail: `at most, ${planned}, of ${formatBytes(poolBytes)}` },
    { id: 'live-spill', name: 'Spill', value: formatBytes(spillBytes), detail: `${formatBytes(trafficBytes)} moved a step` },
    hiddenFigure(memory),
    { id: 'live-step', name: 'Step', value: `${stepSeconds.toFixed(2)} s`, detail: 'measured' },
    { id: 'live-process', name: 'Engine process', value: formatBytes(processBytes), detail: 'with weights, data and runtime' },
  ];
}

function totals(memory: TrainingMemory): Figure[] {
  const { poolBytes, peakBytes, measuredPeakBytes = peakBytes, spillBytes, trafficBytes, processBytes, processFloorBytes } = memory;
  const planned = measuredPeakBytes === peakBytes ? 'as planned' : `${formatBytes(peakBytes)} planned`;
  return [
    {
      id: 'live-pool',
      name: 'Pool in use',
      value: formatBytes(measuredPeakBytes),
      detail: `at most, ${planned}, of ${formatBytes(poolBytes)}`,
    },
    { id: 'live-spill', name: 'Spill', value: formatBytes(spillBytes), detail: `${formatBytes(trafficBytes)} moved a step` },
    hiddenFigure(memory),
    { id: 'live-process', name: 'Process grew by', value: formatBytes(processBytes), detail: `from ${formatBytes(processFloorBytes)}` },
  ];
}

/** How much of the time of transfers nothing had to wait for. */
function hiddenFigure(memory: Pick<TrainingMemory, 'transferSeconds' | 'waitedSeconds'>): Figure {
  const hidden = hiddenPart(memory);
  const ms = (seconds: number): string => `${Math.round(1000 * seconds)} ms`;
  return {
    id: 'live-hidden',
    name: 'Behind computing',
    value: hidden === undefined ? '–' : formatPercent(hidden),
    detail: hidden === undefined ? 'nothing is moved' : `waited ${ms(memory.waitedSeconds)} of ${ms(memory.transferSeconds)} a step`,
  };
}

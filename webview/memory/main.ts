import { formatBytes, parseBytes } from '../../engine/contract/format';
import { type MemoryCost, type MemoryFormat, type PolicyReport, describeForms } from '../../engine/contract/memory';
import type { MemoryChoice, MemoryPageContract, MemoryPageState, MemoryView } from '../../engine/contract/memoryPage';
import { control, registerControls } from '../controls/controls';
import { legend } from '../shared/chart';
import { Notice, element, labelled, titleBlock } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import { kindColour } from './areaCanvas';
import { CostChart } from './costChart';
import { estimateCost } from './costEstimate';
import { type Cost, effectFigures } from './effectFigures';
import { LiveView } from './liveView';
import './memory.css';
import { OverviewStrip } from './overviewStrip';
import { PolicyTable } from './policyTable';
import { StepDetails } from './stepDetails';
import { KIND_NAMES, type Timeline, timelineOf } from './timeline';
import { TimelineChart } from './timelineChart';

/** How long a choice rests before the engine is asked. */
const PLAN_DELAY_MS = 120;
/** How long the pointer rests on a step before its tensors are asked for. */
const TENSOR_DELAY_MS = 60;

const host = connectHost<MemoryPageContract>();

class MemoryPage {
  private state: MemoryPageState | undefined;
  private choice: MemoryChoice = { batch: 1, optimiser: 'sgd', policy: 'auto' };
  private view: MemoryView | undefined;
  private timeline: Timeline | undefined;
  private costs: readonly MemoryCost[] = [];
  private costsFor = '';
  private pinned: number | undefined;
  private planTimer: ReturnType<typeof setTimeout> | undefined;
  private tensorTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly header = element('header', 'overview');
  private readonly effect = element('div', 'effect');
  private readonly notice = new Notice();
  private readonly batch = control('vscode-text-field', { id: 'batch', 'aria-label': 'Batch', size: '8' });
  private readonly optimiser = control('vscode-dropdown', { id: 'optimiser', 'aria-label': 'Optimiser' });
  private readonly workspace = control('vscode-dropdown', { id: 'workspace', 'aria-label': 'Convolution workspace' });
  private readonly budget = control('vscode-text-field', { id: 'budget', 'aria-label': 'Budget', placeholder: 'none', size: '12' });
  private readonly largest = control('vscode-button', { id: 'largest-batch', appearance: 'secondary' }, 'Largest batch');
  private readonly use = control('vscode-button', { id: 'use' }, 'Use when tuning');
  private readonly json = control('vscode-button', { id: 'export-json', appearance: 'secondary' }, 'JSON');
  private readonly trace = control('vscode-button', { id: 'export-trace', appearance: 'secondary' }, 'Chrome trace');
  private readonly snapshot = control('vscode-button', { id: 'export-snapshot', appearance: 'secondary' }, 'PyTorch');
  private readonly key = element('div', 'key');
  private readonly live = new LiveView();
  private readonly details: StepDetails;
  private readonly table: PolicyTable;
  private readonly chart: TimelineChart;
  private readonly strip: OverviewStrip;
  private readonly costChart: CostChart;

  constructor(private readonly root: HTMLElement) {
    const [chart, strip, costs] = [element('div'), element('div'), element('div', 'costs')];
    this.details = new StepDetails({
      onReveal: (layer, where) => void this.reveal(layer, where),
      onStep: (step) => this.pin(step),
    });
    this.table = new PolicyTable(
      (policy) => this.choose({ policy }),
      (layer) => void this.reveal(layer, 'model'),
    );
    this.root.append(
      this.header,
      this.choices(),
      this.notice.element,
      this.effect,
      this.live.element,
      this.drawing(chart, strip),
      this.comparison(costs),
    );
    this.chart = new TimelineChart(chart, {
      onLook: (step) => this.look(step),
      onPin: (step) => this.pin(step),
      onReveal: (step) => void this.reveal(this.timeline?.layer(step) ?? '', 'model'),
      onZoom: (range) => this.zoom(range),
      onBudget: (bytes, isFinal) => this.moveBudget(bytes, isFinal),
    });
    this.strip = new OverviewStrip(strip, { left: 46, right: 104 }, (range) => this.chart.zoom(range));
    this.costChart = new CostChart(costs, (budget, policy) => this.choose({ budget, policy }));
    host.on('state', (state) => this.showState(state));
    host.on('live', (step) => this.live.show(step));
    host.on('livePool', (pool) => this.live.showPool(pool));
    host.on('liveEnd', ({ title, memory }) => this.live.end(title, memory));
    host.ready();
  }

  private choices(): HTMLElement {
    const fields = element('section', 'fields');
    for (const name of ['sgd', 'adam', 'adamw']) this.optimiser.append(control('vscode-option', { value: name }, name));
    for (const mode of ['fixed', 'dynamic']) this.workspace.append(control('vscode-option', { value: mode }, mode));
    this.workspace.title =
      'How gradients of convolutions are computed: as without a budget, or in the fastest way that fits into what the budget leaves';
    const exports = element('div', 'buttons');
    this.largest.title = 'The largest batch that this budget holds';
    this.snapshot.title = 'A memory snapshot for pytorch.org/memory_viz';
    exports.append(this.json, this.trace, this.snapshot);
    fields.append(
      labelled('Batch', this.batch),
      labelled('Optimiser', this.optimiser),
      labelled('Budget', this.budget),
      labelled('Workspace', this.workspace),
      this.largest,
      this.use,
      labelled('Export', exports),
    );
    this.batch.addEventListener('change', () => this.fromField(() => ({ batch: wholeNumber(this.batch.value) })));
    this.optimiser.addEventListener('change', () => this.choose({ optimiser: this.optimiser.value as MemoryChoice['optimiser'] }));
    this.workspace.addEventListener('change', () => this.choose({ workspace: this.workspace.value as MemoryChoice['workspace'] }));
    this.budget.addEventListener('change', () => this.fromField(() => ({ budget: budgetOf(this.budget.value) })));
    this.largest.addEventListener('click', () => void this.findLargestBatch());
    this.use.addEventListener('click', () => void this.useForTraining());
    this.json.addEventListener('click', () => void this.export('json'));
    this.trace.addEventListener('click', () => void this.export('trace'));
    this.snapshot.addEventListener('click', () => void this.export('snapshot'));
    return fields;
  }

  private drawing(chart: HTMLElement, strip: HTMLElement): HTMLElement {
    const section = element('section', 'drawing');
    const left = element('div', 'plot');
    const zooms = element('div', 'zooms');
    zooms.append(
      linkButton('zoom-peak', 'zoom to peak', () => this.zoomToPeak()),
      linkButton('zoom-out', 'show all', () => this.zoom([0, this.timeline?.length ?? 1])),
    );
    const navigation = element('div', 'navigation');
    navigation.append(strip, zooms);
    left.append(chart, navigation, this.key);
    section.append(left, this.details.element);
    return section;
  }

  private comparison(costs: HTMLElement): HTMLElement {
    const section = element('section');
    const scroller = element('div', 'scroller');
    scroller.append(this.table.element);
    section.append(element('h2', '', 'Policies at this budget'), scroller, element('h2', 'second', 'What a budget costs'), costs);
    return section;
  }

  private showState(state: MemoryPageState): void {
    this.state = state;
    [this.costsFor, this.costs] = ['', []];
    if (!this.view) this.header.replaceChildren(titleBlock(state.file, 'Memory of a training step'));
    this.choose(state.choice, 0);
  }

  /** Takes a changed choice over, shows what is known of it at once and asks the engine for the rest. */
  private choose(change: Partial<MemoryChoice>, delay = PLAN_DELAY_MS): void {
    this.choice = withChange(this.choice, change);
    this.showFields();
    this.showEstimate();
    clearTimeout(this.planTimer);
    this.planTimer = setTimeout(() => void this.plan(), delay);
  }

  private fromField(read: () => Partial<MemoryChoice>): void {
    try {
      this.choose(read());
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private showFields(): void {
    const { batch, optimiser, budget, workspace = 'fixed' } = this.choice;
    this.batch.value = String(batch);
    this.optimiser.value = optimiser;
    this.budget.value = budget === undefined ? '' : formatBytes(budget);
    this.workspace.value = workspace;
    this.largest.disabled = this.workspace.disabled = budget === undefined;
  }

  private async plan(): Promise<void> {
    this.root.setAttribute('aria-busy', 'true');
    try {
      const view = await host.request('plan', this.choice);
      if (!view) return;
      this.show(view);
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
    this.root.setAttribute('aria-busy', 'false');
  }

  private show(view: MemoryView): void {
    this.view = view;
    const before = this.timeline?.length;
    this.timeline = timelineOf(view.steps);
    if (before !== this.timeline.length) this.pinned = undefined;
    const { report, choice } = view;
    const what = [
      this.state?.hasSurgery ? 'with the surgery plan' : '',
      `${report.operations} operators in ${this.timeline.length} steps`,
      `weights and state ${formatBytes(report.pinnedBytes)}`,
      report.convolutions ? describeForms(report.convolutions) : '',
    ];
    this.header.replaceChildren(titleBlock(this.state?.file ?? '', `Memory of a training step · ${what.filter(Boolean).join(' · ')}`));
    this.showEffect(view.isAtFloor ? undefined : this.ownReport, false);
    this.notice.show(report.advice && view.isAtFloor ? this.impossible(choice) : '', view.isAtFloor ? 'error' : 'info');
    this.table.show(report.policies, choice.policy, choice.budget);
    this.showLegend(this.timeline);
    this.chart.show(this.timeline, this.top, this.budgetState, view.isAtFloor);
    this.strip.show(this.timeline);
    this.look(undefined);
    this.costChart.show(this.costs, choice, this.ownReport);
    void this.loadCosts();
  }

  private get ownReport(): PolicyReport | undefined {
    return this.view?.report.policies.find((p) => p.policy === this.choice.policy);
  }

  /** Upper edge of the chart: what the steps need, and what is needed when nothing is saved but by liveness. */
  private get top(): number {
    const whole = this.view?.report.policies.find((p) => p.policy === 'liveness')?.floorBytes ?? 0;
    return 1.08 * Math.max(this.timeline?.totals[this.timeline.peak] ?? 1, whole, this.view?.choice.budget ?? 0);
  }

  private get budgetState() {
    const own = this.ownReport;
    const pool = own?.feasible ? (own.poolBytes ?? 0) : (own?.floorBytes ?? 0);
    const whole = this.choice.budget === undefined ? pool : Math.max(pool, own?.floorBytes ?? 0);
    return { ...(this.choice.budget === undefined ? {} : { budget: this.choice.budget }), pool: whole, floor: own?.floorBytes ?? 0 };
  }

  private showEffect(cost: Cost, isEstimate: boolean): void {
    const { view, timeline, ownReport: own } = this;
    if (view && timeline && own) this.effect.replaceChildren(effectFigures({ view, timeline, own, cost, isEstimate }));
  }

  /** Before the engine has answered: the straight line between budgets that it has answered for, or that it computes. */
  private showEstimate(): void {
    this.notice.show('Computing');
    if (!this.view) return;
    const { batch, optimiser, budget, policy } = this.choice;
    const isSameStep = batch === this.view.choice.batch && optimiser === this.view.choice.optimiser;
    if (!isSameStep) this.costs = [];
    const own = this.ownReport;
    this.chart.showBudget(this.budgetState);
    if (isSameStep && budget !== undefined && own && budget < own.floorBytes) {
      this.showEffect(undefined, false);
      this.notice.show(this.impossible(this.choice), 'error');
      return;
    }
    const estimate = budget === undefined ? undefined : estimateCost(this.costs, policy, budget);
    this.showEffect(estimate && { poolBytes: budget, ...estimate }, true);
  }

  private impossible({ budget = 0, policy }: MemoryChoice): string {
    const own = this.ownReport;
    const advice = this.view?.report.policies.filter((p) => p.floorBytes <= budget).map((p) => p.policy) ?? [];
    const other = advice.length > 0 ? ` Policy ${advice.at(-1) ?? ''} can.` : '';
    return `${formatBytes(budget)} cannot hold a step: ${policy} needs at least ${formatBytes(own?.floorBytes ?? 0)}${own?.floorLayer ? `, set by ${own.floorLayer}` : ''}.${other}`;
  }

  private moveBudget(budget: number | undefined, isFinal: boolean): void {
    this.choose({ budget }, isFinal ? 0 : PLAN_DELAY_MS);
  }

  /** Once for each model, batch and optimiser. */
  private async loadCosts(): Promise<void> {
    const { batch, optimiser } = this.choice;
    const key = `${batch} ${optimiser}`;
    if (this.costsFor === key) return;
    try {
      const costs = await host.request('costs', this.choice);
      if (!costs) return;
      [this.costs, this.costsFor] = [costs, key];
      this.costChart.show(costs, this.choice, this.ownReport);
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private showLegend({ kinds, mostOffloaded }: Timeline): void {
    const items = kinds.map((kind) => ({ name: KIND_NAMES[kind], colour: kindColour(kind) }));
    this.key.replaceChildren(legend(mostOffloaded > 0 ? [...items, { name: 'out of the pool', colour: 'var(--hatch)' }] : items));
  }

  /** The step under the pointer, else the pinned one, else the peak. */
  private look(step: number | undefined): void {
    const { timeline } = this;
    if (!timeline) return;
    const at = step ?? this.pinned ?? timeline.peak;
    const layer = timeline.layer(at);
    this.details.show(timeline, at, at === timeline.peak, this.state?.layers.includes(layer) ?? false);
    this.details.showForms(this.view?.report.convolutions?.filter((form) => form.layer === layer) ?? []);
    clearTimeout(this.tensorTimer);
    this.tensorTimer = setTimeout(() => void this.loadTensors(at), TENSOR_DELAY_MS);
  }

  private async loadTensors(step: number): Promise<void> {
    const { view, timeline } = this;
    if (!view || !timeline) return;
    const alive = await host.request('alive', { view: view.id, step });
    if (view !== this.view) return;
    const named = alive.reduce((sum, { bytes }) => sum + bytes, 0);
    const others = (timeline.totals[step] ?? 0) - view.report.pinnedBytes - named;
    this.details.showTensors(alive, Math.max(0, others));
    this.chart.showTensors(
      step,
      alive.map(({ name, bytes, kind }) => ({ name, value: formatBytes(bytes), colour: kindColour(kind) })),
    );
  }

  private pin(step: number): void {
    this.pinned = this.pinned === step ? undefined : step;
    this.chart.pin(this.pinned);
    this.look(this.pinned);
  }

  private zoom(range: readonly [number, number]): void {
    this.chart.zoom(range);
    this.strip.zoom(range);
  }

  private zoomToPeak(): void {
    const { timeline } = this;
    if (!timeline) return;
    const wide = Math.min(timeline.length, Math.max(24, timeline.length / 12));
    const start = Math.max(0, Math.min(timeline.length - wide, timeline.peak + 0.5 - wide / 2));
    this.zoom([start, start + wide]);
  }

  private async reveal(layer: string, where: 'model' | 'source'): Promise<void> {
    await this.told(
      () => host.request('reveal', { layer, where }),
      () => '',
    );
  }

  private async findLargestBatch(): Promise<void> {
    this.largest.disabled = true;
    this.notice.show('Looking for the largest batch');
    const found = await this.told(
      () => host.request('largestBatch', this.choice),
      (batch) => (batch === 0 ? 'Not even one sample fits into this budget.' : batch === null ? '' : `A batch of ${batch} fits.`),
    );
    this.largest.disabled = false;
    if (found) this.choose({ batch: found }, 0);
  }

  private async useForTraining(): Promise<void> {
    const { budget, policy } = this.choice;
    const limit = budget === undefined ? 'without a memory budget' : `within ${formatBytes(budget)}`;
    await this.told(
      () => host.request('useForTraining', this.choice),
      () => `Tuning in this workspace now runs ${limit}, policy ${policy}.`,
    );
  }

  private async export(format: MemoryFormat): Promise<void> {
    await this.told(
      () => host.request('export', { choice: this.choice, format }),
      (name) => (name === null ? '' : `Wrote ${name}.`),
    );
  }

  private async told<T>(work: () => Promise<T>, describe: (result: T) => string): Promise<T | undefined> {
    try {
      const result = await work();
      this.notice.show(describe(result));
      return result;
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
      return undefined;
    }
  }
}

function linkButton(id: string, text: string, onClick: () => void): HTMLButtonElement {
  const button = element('button', 'link', text);
  [button.type, button.id] = ['button', id];
  button.addEventListener('click', onClick);
  return button;
}

/** A budget that is undefined is taken out. */
function withChange(choice: MemoryChoice, change: Partial<MemoryChoice>): MemoryChoice {
  const { budget, ...rest } = { ...choice, ...change };
  return budget === undefined ? rest : { ...rest, budget };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0) throw new Error(`Batch: “${text}” is not a whole number above zero`);
  return value;
}

function budgetOf(text: string): number | undefined {
  if (text.trim() === '' || text.trim() === 'none') return undefined;
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new Error(`Budget: “${text}” is not a size such as 512MiB`);
  return bytes;
}

registerControls();
const page = document.getElementById('page');
if (page) new MemoryPage(page);

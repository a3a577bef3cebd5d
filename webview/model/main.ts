import type { Criterion, ImportanceReport } from '../../engine/contract/models';
import type { ModelPageContract, ModelState } from '../../engine/contract/page';
import type { PruneBudget } from '../../engine/contract/protocol';
import type { CostCurve } from '../../engine/contract/pruning';
import { control, dropdown, registerControls } from '../controls/controls';
import { Notice, element, labelled } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import { EffectView, predictsLoss } from './effectView';
import { explanation } from './explanation';
import { GroupsView } from './groupsView';
import { LayersTable } from './layersTable';
import './model.css';
import { showOverview } from './overview';
import { RankingChart } from './rankingChart';
import { Threshold } from './threshold';

const CRITERIA: readonly (readonly [Criterion, string])[] = [
  ['gate-taylor', 'Gate Taylor'],
  ['l1', 'L1 norm'],
  ['l2', 'L2 norm'],
  ['bn-scale', 'Batch-norm scale'],
  ['fpgm', 'Geometric median'],
  ['lamp', 'LAMP'],
  ['random', 'Random'],
];
const CARDS_HINT =
  'A bar is a filter, the least important of its group first; faded ones go. Click a name to see why layers belong together.';
const SENSITIVITY_HINT = 'The line is the loss on held-out samples when all filters to its left go, in this group alone.';
const HINT = 'Importance shows which filters the network would miss least. Nothing changes until you apply a cut.';

/** A threshold that has stood for so long is at rest: all is brought in step with it, and the engine is asked for exact totals. */
const REST_MS = 120;

const host = connectHost<ModelPageContract>();

class ModelPage {
  private state: ModelState | undefined;
  private threshold: Threshold | undefined;
  private curve: CostCurve | undefined;
  private wanted: number | undefined;
  private request = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly header = element('header', 'overview');
  private readonly notice = new Notice();
  private readonly surgery = element('section', 'surgery');
  private readonly chartHost = element('div', 'chart');
  private readonly hint = element('p', 'cards-hint');
  private readonly explained = element('div', 'explained');
  private readonly criterion = dropdown('criterion', 'Criterion', CRITERIA);
  private readonly data = control('vscode-text-field', {
    id: 'data',
    placeholder: 'Folder, .npz or generated:shapes?…',
    'aria-label': 'Labelled data',
  });
  private readonly compute = control('vscode-button', { id: 'compute' }, 'Compute importance');
  private readonly measure = control('vscode-button', { id: 'sensitivity', appearance: 'secondary' }, 'Measure sensitivity');
  private readonly stop = control('vscode-button', { id: 'cancel', appearance: 'secondary' }, 'Cancel');
  private readonly effect = new EffectView({
    onApply: () => void this.tell(() => this.applyCut()),
    onBudget: (budget) => void this.tell(() => this.meet(budget)),
    onError: (message) => this.notice.show(message, 'error'),
  });
  private readonly ranking = new RankingChart(this.chartHost, (rank) => this.moveSoon(rank));
  private readonly groups = new GroupsView({
    onHighlight: (group) => this.highlight(group),
    onLock: (group, locked) => void this.tell(() => host.request('lock', { group, locked })),
    onExplain: (group) => void this.tell(() => this.explain(group)),
  });
  private readonly layers = new LayersTable({
    onHighlight: (group) => this.highlight(group),
    onLock: (group, locked) => void this.tell(() => host.request('lock', { group, locked })),
    onNoise: (layer) => void this.tell(() => host.request('toggleNoise', { layer })),
    onRanks: (layer) => void this.tell(() => host.request('ranks', { layer })),
  });

  constructor(private readonly root: HTMLElement) {
    this.compute.addEventListener('click', () => void this.startJob('importance'));
    this.measure.addEventListener('click', () => void this.startJob('sensitivity'));
    this.stop.addEventListener('click', () => void host.request('cancel', null));
    this.stop.hidden = true;
    const tickTock = control('vscode-button', { id: 'tick-tock', appearance: 'secondary' }, 'Tick-Tock…');
    tickTock.title = 'Prune and tune in turns';
    tickTock.addEventListener('click', () => void this.tell(() => host.request('tickTock', null)));
    const fields = element('div', 'fields');
    fields.append(labelled('Criterion', this.criterion), labelled('Data', this.data), this.compute, this.measure, tickTock, this.stop);
    const tools = element('section', 'tools');
    tools.append(element('h2', '', 'Filter importance'), fields, this.notice.element);
    this.explained.setAttribute('role', 'status');
    this.surgery.append(this.effect.element, this.chartHost, this.explained, this.hint, this.groups.element);
    const table = element('section', 'table');
    table.append(element('h2', '', 'Layers'), this.layers.element);
    root.append(this.header, tools, this.surgery, table);
    host.on('state', (state) => this.show(state));
    host.on('progress', ({ message }) => this.setBusy(true, message));
    host.on('reveal', ({ layer }) => this.layers.reveal(layer));
    new ResizeObserver(() => this.threshold && this.ranking.draw(this.threshold)).observe(this.chartHost);
    host.ready();
  }

  private show(state: ModelState): void {
    const { importance, summary } = state;
    this.state = state;
    this.root.setAttribute('aria-busy', 'false');
    if (!this.data.value) this.data.value = state.data;
    this.criterion.value = state.criterion;
    showOverview(this.header, state);
    this.setBusy(false, importance ? '' : HINT);
    const groupOf = new Map(summary.groups.flatMap((g) => g.layers.map((layer) => [layer, g.id])));
    const locked = new Set(state.locked.flatMap((layer) => groupOf.get(layer) ?? []));
    this.layers.show(state, groupOf, locked);
    this.surgery.hidden = this.measure.hidden = !importance;
    this.explained.replaceChildren();
    this.hint.textContent = state.sensitivity ? `${CARDS_HINT} ${SENSITIVITY_HINT}` : CARDS_HINT;
    if (!importance) return void (this.threshold = undefined);
    const before = this.threshold;
    const isSame = before !== undefined && sameScores(before.report, importance);
    this.threshold = new Threshold(isSame ? before.report : importance, locked);
    this.curve = undefined;
    this.threshold.moveTo(isSame ? before.rank : 0);
    this.groups.show(this.threshold, locked, state.sensitivity);
    this.ranking.draw(this.threshold);
    this.moveTo(this.threshold.rank);
    this.effect.rest();
    void this.tell(() => this.loadCurve());
  }

  private highlight(group: string | undefined): void {
    this.groups.highlight(group);
    this.layers.highlight(group);
  }

  /** At most one move a frame, however often the pointer tells of one. */
  private moveSoon(rank: number): void {
    const isWaiting = this.wanted !== undefined;
    this.wanted = rank;
    if (isWaiting) return;
    requestAnimationFrame(() => {
      const { wanted } = this;
      this.wanted = undefined;
      if (wanted !== undefined) this.moveTo(wanted);
    });
  }

  private moveTo(rank: number): void {
    const { state, threshold } = this;
    if (!state || !threshold) return;
    this.groups.follow(threshold.moveTo(rank));
    this.ranking.follow();
    const isWhole = threshold.removed === 0;
    this.effect.show({ threshold, summary: state.summary, totals: threshold.estimate(state.summary, this.curve), isExact: isWhole });
    clearTimeout(this.timer);
    const request = ++this.request;
    this.timer = setTimeout(() => {
      this.rest();
      if (!isWhole) void this.tell(() => this.preview(request));
    }, REST_MS);
  }

  /** What may be late while the threshold moves. */
  private rest(): void {
    this.groups.rest();
    this.effect.rest();
  }

  private async preview(request: number): Promise<void> {
    const { state, threshold } = this;
    if (!state || !threshold) return;
    const totals = await host.request('preview', { kept: threshold.kept() });
    if (request !== this.request) return;
    this.effect.show({ threshold, summary: state.summary, totals, isExact: true });
    this.effect.rest();
  }

  private async loadCurve(): Promise<void> {
    const { threshold } = this;
    const curve = await host.request('costCurve', null);
    if (threshold === this.threshold) this.curve = curve ?? undefined;
  }

  private async meet(budget: PruneBudget): Promise<void> {
    const removed = await host.request('budget', { budget });
    if (this.threshold) this.moveTo(this.threshold.rankOf(removed));
  }

  private async explain(group: string): Promise<void> {
    const answer = await host.request('explain', { group });
    this.explained.replaceChildren(explanation(answer, () => this.explained.replaceChildren()));
    this.explained.scrollIntoView({ block: 'nearest' });
  }

  private async startJob(job: 'importance' | 'sensitivity'): Promise<void> {
    this.setBusy(true, 'Starting');
    try {
      const end = await host.request(job, { criterion: this.criterion.value as Criterion, data: this.data.value.trim() });
      if (end === 'cancelled') this.setBusy(false, 'Cancelled.');
    } catch (error) {
      this.setBusy(false, messageOf(error), 'error');
    }
  }

  private async applyCut(): Promise<void> {
    const { threshold } = this;
    if (!threshold || threshold.removed === 0) return;
    const { report } = threshold;
    const lossChange = predictsLoss(report) ? { lossChange: threshold.lossChange } : {};
    await host.request('apply', { kept: threshold.kept(), criterion: report.criterion, ...lossChange });
  }

  private async tell(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private setBusy(busy: boolean, message: string, kind: 'info' | 'error' = 'info'): void {
    this.compute.disabled = this.measure.disabled = busy;
    this.stop.hidden = !busy;
    this.notice.show(message, kind);
  }
}

/** Whether a state brought the scores that are shown already. */
const sameScores = (a: ImportanceReport, b: ImportanceReport): boolean =>
  a.criterion === b.criterion &&
  a.loss === b.loss &&
  a.groups.length === b.groups.length &&
  a.groups.every(({ id, scores }, i) => {
    const other = b.groups[i];
    return other?.id === id && other.scores.length === scores.length && other.scores.every((score, c) => score === scores[c]);
  });

registerControls();
const page = document.getElementById('page');
if (page) new ModelPage(page);

import type { Criterion, Totals } from '../../engine/contract/models';
import type { FromPage, PageState, ToPage } from '../../engine/contract/page';
import { control, registerControls } from '../controls/controls';
import { formatBytes, formatCount, formatPercent } from './format';
import { RankingChart, drawGroups } from './importanceView';
import { drawLayers } from './layersTable';
import { type Cut, type RankedFilter, cutAt, estimateTotals, keptChannels, rankFilters } from './ranking';

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void };

const CRITERIA: readonly (readonly [Criterion, string])[] = [
  ['gate-taylor', 'Gate Taylor'],
  ['l1', 'L1 norm'],
  ['l2', 'L2 norm'],
  ['bn-scale', 'Batch-norm scale'],
  ['fpgm', 'Geometric median'],
  ['lamp', 'LAMP'],
  ['random', 'Random'],
];

/** How long the threshold rests before the engine is asked for exact totals. */
const PREVIEW_DELAY_MS = 120;

const api = acquireVsCodeApi();

function element(tag: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

class ModelPage {
  private state: PageState | undefined;
  private ranked: RankedFilter[] = [];
  private cut: Cut = cutAt([], 0);
  private request = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly header = element('header', 'overview');
  private readonly tools = element('section', 'tools');
  private readonly notice = element('div', 'notice');
  private readonly effect = element('section', 'effect');
  private readonly chart = element('div', 'chart');
  private readonly groups = element('div', 'groups');
  private readonly layers = element('div', 'layers');
  private readonly criterion = control('vscode-dropdown', { id: 'criterion', 'aria-label': 'Criterion' });
  private readonly data = control('vscode-text-field', {
    id: 'data',
    placeholder: 'Folder, .npz or generated:shapes?…',
    'aria-label': 'Labelled data',
  });
  private readonly compute = control('vscode-button', { id: 'compute' }, 'Compute importance');
  private readonly stop = control('vscode-button', { id: 'cancel', appearance: 'secondary' }, 'Cancel');
  private readonly apply = control('vscode-button', { id: 'apply' }, 'Apply cut');

  constructor(private readonly root: HTMLElement) {
    this.notice.setAttribute('role', 'status');
    for (const [value, label] of CRITERIA) this.criterion.append(control('vscode-option', { value }, label));
    this.compute.addEventListener('click', () => this.startImportance());
    this.stop.addEventListener('click', () => api.postMessage({ type: 'cancel' }));
    this.apply.addEventListener('click', () => this.applyCut());
    this.stop.hidden = true;
    const fields = element('div', 'fields');
    fields.append(this.labelled('Criterion', this.criterion), this.labelled('Data', this.data), this.compute, this.stop);
    this.tools.append(element('h2', '', 'Filter importance'), fields, this.notice);
    const surgery = element('section', 'surgery');
    surgery.append(this.effect, this.chart, this.groups);
    const table = element('section', 'table');
    table.append(element('h2', '', 'Layers'), this.layers);
    root.append(this.header, this.tools, surgery, table);
    window.addEventListener('message', (event: MessageEvent<ToPage>) => this.receive(event.data));
    new ResizeObserver(() => this.redraw()).observe(root);
    api.postMessage({ type: 'ready' });
  }

  private labelled(text: string, field: HTMLElement): HTMLElement {
    const wrapper = element('label', 'field');
    wrapper.append(element('span', 'field-name', text), field);
    return wrapper;
  }

  private receive(message: ToPage): void {
    switch (message.type) {
      case 'state':
        return this.show(message.state);
      case 'totals':
        if (message.request === this.request) this.showEffect(message.totals, true);
        return;
      case 'progress':
        return this.setBusy(true, message.message);
      case 'idle':
        return this.setBusy(false, 'Cancelled.');
      case 'error':
        this.setBusy(false, message.message);
        this.notice.classList.add('error');
    }
  }

  private show(state: PageState): void {
    this.state = state;
    this.root.setAttribute('aria-busy', 'false');
    if (!this.data.value) this.data.value = state.data;
    this.criterion.value = state.criterion;
    this.showHeader(state);
    drawLayers(this.layers, state.summary.layers);
    this.setBusy(
      false,
      state.importance ? '' : 'Importance shows which filters the network would miss least. Nothing changes until you apply a cut.',
    );
    this.ranked = state.importance ? rankFilters(state.importance) : [];
    this.moveTo(0);
    this.redraw();
  }

  private showHeader({ file, summary, original, operations }: PageState): void {
    const title = element('div', 'title');
    title.append(
      element('h1', '', file),
      element(
        'span',
        'subtitle',
        `${summary.format} opset ${summary.opset} · ${summary.layers.length} layers · ${summary.groups.length} prunable groups`,
      ),
    );
    const figures = element('dl', 'figures');
    const cut = operations.some((o) => o.enabled);
    const figure = (name: string, now: number, before: number, format: (v: number) => string): void => {
      const box = element('div', 'figure');
      box.append(element('dt', '', name), element('dd', '', format(now)));
      box.append(element('span', 'was', cut && before !== now ? `${formatPercent(now / before)} of ${format(before)}` : ' '));
      figures.append(box);
    };
    figure('MACs', summary.totals.macs, original.macs, formatCount);
    figure('Parameters', summary.totals.parameters, original.parameters, formatCount);
    figure('File', summary.bytes, original.bytes, formatBytes);
    figure('Activations', summary.totals.activationBytes, original.activationBytes, formatBytes);
    this.header.replaceChildren(title, figures);
    for (const { node, op, reason } of summary.unsupported) this.header.append(element('p', 'unsupported', `${node} (${op}): ${reason}`));
  }

  private redraw(): void {
    const report = this.state?.importance;
    this.chart.hidden = this.groups.hidden = this.effect.hidden = !report;
    if (!report) return;
    new RankingChart(this.chart, this.ranked, (rank) => this.moveTo(rank)).draw(this.rank);
    drawGroups(this.groups, report, this.ranked, this.cut);
  }

  private rank = 0;

  private moveTo(rank: number): void {
    const { state } = this;
    this.rank = rank;
    this.cut = cutAt(this.ranked, rank);
    if (!state?.importance) return;
    this.showEffect(estimateTotals(state.summary, this.cut), this.cut.count === 0);
    drawGroups(this.groups, state.importance, this.ranked, this.cut);
    clearTimeout(this.timer);
    const request = ++this.request;
    const kept = keptChannels(state.importance, this.cut);
    if (this.cut.count > 0) this.timer = setTimeout(() => api.postMessage({ type: 'preview', request, kept }), PREVIEW_DELAY_MS);
  }

  private showEffect(totals: Totals, exact: boolean): void {
    const { state, cut } = this;
    if (!state?.importance) return;
    const whole = state.summary.totals;
    const figures = element('dl', 'figures small');
    const figure = (id: string, name: string, value: string, detail: string): void => {
      const box = element('div', 'figure');
      const shown = element('dd', exact ? '' : 'estimate', value);
      shown.id = id;
      box.append(element('dt', '', name), shown, element('span', 'was', detail));
      figures.append(box);
    };
    figure('cut-filters', 'Filters cut', String(cut.count), `of ${this.ranked.length}`);
    figure('cut-macs', 'MACs left', formatPercent(totals.macs / Math.max(1, whole.macs)), formatCount(totals.macs));
    figure(
      'cut-parameters',
      'Parameters left',
      formatPercent(totals.parameters / Math.max(1, whole.parameters)),
      formatCount(totals.parameters),
    );
    const hasLoss = state.importance.groups.some((g) => g.lossChange);
    figure(
      'cut-loss',
      'Predicted loss change',
      hasLoss ? signed(cut.lossChange) : '–',
      hasLoss ? `first order, loss ${state.importance.loss?.toFixed(3) ?? ''}` : 'gate Taylor only',
    );
    this.apply.disabled = cut.count === 0;
    this.effect.replaceChildren(figures, this.apply);
  }

  private startImportance(): void {
    this.notice.classList.remove('error');
    this.setBusy(true, 'Starting');
    api.postMessage({ type: 'importance', criterion: this.criterion.value as Criterion, data: this.data.value.trim() });
  }

  private applyCut(): void {
    const { state, cut } = this;
    if (!state?.importance || cut.count === 0) return;
    const lossChange = state.importance.groups.some((g) => g.lossChange) ? { lossChange: cut.lossChange } : {};
    api.postMessage({ type: 'apply', kept: keptChannels(state.importance, cut), criterion: state.importance.criterion, ...lossChange });
  }

  private setBusy(busy: boolean, message: string): void {
    this.notice.classList.remove('error');
    this.compute.disabled = busy;
    this.stop.hidden = !busy;
    this.notice.textContent = message;
  }
}

const signed = (value: number): string => `${value > 0 ? '+' : ''}${value.toPrecision(2)}`;

registerControls();
const page = document.getElementById('page');
if (page) new ModelPage(page);

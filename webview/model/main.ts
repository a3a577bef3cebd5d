import type { Criterion, Totals } from '../../engine/contract/models';
import { formatBytes, formatChange, formatCount, formatPercent } from '../../engine/contract/format';
import type { ModelPageContract, ModelState } from '../../engine/contract/page';
import { control, registerControls } from '../controls/controls';
import { type Figure, Notice, element, figures, labelled, titleBlock } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import './model.css';
import { RankingChart, drawGroups } from './importanceView';
import { type NoiseBadges, drawLayers, revealLayer } from './layersTable';
import { type Cut, type RankedFilter, cutAt, estimateTotals, keptChannels, rankFilters } from './ranking';

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

const host = connectHost<ModelPageContract>();

class ModelPage {
  private state: ModelState | undefined;
  private ranked: RankedFilter[] = [];
  private cut: Cut = cutAt([], 0);
  private request = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly header = element('header', 'overview');
  private readonly tools = element('section', 'tools');
  private readonly notice = new Notice();
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
    for (const [value, label] of CRITERIA) this.criterion.append(control('vscode-option', { value }, label));
    this.compute.addEventListener('click', () => void this.startImportance());
    this.stop.addEventListener('click', () => void host.request('cancel', null));
    this.apply.addEventListener('click', () => void this.applyCut());
    this.stop.hidden = true;
    const fields = element('div', 'fields');
    fields.append(labelled('Criterion', this.criterion), labelled('Data', this.data), this.compute, this.stop);
    this.tools.append(element('h2', '', 'Filter importance'), fields, this.notice.element);
    const surgery = element('section', 'surgery');
    surgery.append(this.effect, this.chart, this.groups);
    const table = element('section', 'table');
    table.append(element('h2', '', 'Layers'), this.layers);
    root.append(this.header, this.tools, surgery, table);
    host.on('state', (state) => this.show(state));
    host.on('progress', ({ message }) => this.setBusy(true, message));
    host.on('reveal', ({ layer }) => revealLayer(this.layers, layer));
    new ResizeObserver(() => this.redraw()).observe(root);
    host.ready();
  }

  private show(state: ModelState): void {
    this.state = state;
    this.root.setAttribute('aria-busy', 'false');
    if (!this.data.value) this.data.value = state.data;
    this.criterion.value = state.criterion;
    this.showHeader(state);
    drawLayers(this.layers, state.summary.layers, this.noiseBadges(state));
    this.setBusy(
      false,
      state.importance ? '' : 'Importance shows which filters the network would miss least. Nothing changes until you apply a cut.',
    );
    this.ranked = state.importance ? rankFilters(state.importance) : [];
    this.moveTo(0);
    this.redraw();
  }

  private noiseBadges({ summary, operations }: ModelState): NoiseBadges {
    const planned = operations.findLast((o) => o.kind === 'insert-noise' && o.enabled);
    const noise = planned?.kind === 'insert-noise' ? planned.noise : undefined;
    const chosen = noise && noise.method !== 'adversarial' ? (noise.layers ?? summary.noiseLayers) : [];
    return { places: new Set(summary.noiseLayers), chosen: new Set(chosen), toggle: (layer) => void this.toggleNoise(layer) };
  }

  private async toggleNoise(layer: string): Promise<void> {
    try {
      await host.request('toggleNoise', { layer });
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private showHeader({ file, summary, original, operations }: ModelState): void {
    const subtitle = `${summary.format} opset ${summary.opset} · ${summary.layers.length} layers · ${summary.groups.length} prunable groups`;
    const isCut = operations.some((o) => o.enabled);
    const figure = (name: string, now: number, before: number, format: (v: number) => string): Figure => ({
      name,
      value: format(now),
      ...(isCut && before !== now ? { detail: `${formatPercent(now / before)} of ${format(before)}` } : {}),
    });
    this.header.replaceChildren(
      titleBlock(file, subtitle),
      figures([
        figure('MACs', summary.totals.macs, original.macs, formatCount),
        figure('Parameters', summary.totals.parameters, original.parameters, formatCount),
        figure('File', summary.bytes, original.bytes, formatBytes),
        figure('Activations', summary.totals.activationBytes, original.activationBytes, formatBytes),
      ]),
    );
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
    if (this.cut.count > 0) this.timer = setTimeout(() => void this.preview(request), PREVIEW_DELAY_MS);
  }

  private async preview(request: number): Promise<void> {
    if (!this.state?.importance) return;
    try {
      const totals = await host.request('preview', { kept: keptChannels(this.state.importance, this.cut) });
      if (request === this.request) this.showEffect(totals, true);
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private showEffect(totals: Totals, isExact: boolean): void {
    const { state, cut } = this;
    if (!state?.importance) return;
    const whole = state.summary.totals;
    const isEstimate = !isExact;
    const part = (key: 'macs' | 'parameters'): { value: string; detail: string; isEstimate: boolean } => ({
      value: formatPercent(totals[key] / Math.max(1, whole[key])),
      detail: formatCount(totals[key]),
      isEstimate,
    });
    const hasLoss = state.importance.groups.some((g) => g.lossChange);
    const shown = figures(
      [
        { id: 'cut-filters', name: 'Filters cut', value: String(cut.count), detail: `of ${this.ranked.length}`, isEstimate },
        { id: 'cut-macs', name: 'MACs left', ...part('macs') },
        { id: 'cut-parameters', name: 'Parameters left', ...part('parameters') },
        {
          id: 'cut-loss',
          name: 'Predicted loss change',
          value: hasLoss ? formatChange(cut.lossChange) : '–',
          detail: hasLoss ? `first order, loss ${state.importance.loss?.toFixed(3) ?? ''}` : 'gate Taylor only',
          isEstimate,
        },
      ],
      'small',
    );
    this.apply.disabled = cut.count === 0;
    this.effect.replaceChildren(shown, this.apply);
  }

  private async startImportance(): Promise<void> {
    this.setBusy(true, 'Starting');
    try {
      const end = await host.request('importance', { criterion: this.criterion.value as Criterion, data: this.data.value.trim() });
      if (end === 'cancelled') this.setBusy(false, 'Cancelled.');
    } catch (error) {
      this.setBusy(false, messageOf(error), 'error');
    }
  }

  private async applyCut(): Promise<void> {
    const { state, cut } = this;
    if (!state?.importance || cut.count === 0) return;
    const lossChange = state.importance.groups.some((g) => g.lossChange) ? { lossChange: cut.lossChange } : {};
    try {
      await host.request('apply', { kept: keptChannels(state.importance, cut), criterion: state.importance.criterion, ...lossChange });
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }

  private setBusy(busy: boolean, message: string, kind: 'info' | 'error' = 'info'): void {
    this.compute.disabled = busy;
    this.stop.hidden = !busy;
    this.notice.show(message, kind);
  }
}

registerControls();
const page = document.getElementById('page');
if (page) new ModelPage(page);

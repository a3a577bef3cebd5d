import type { BlockTermChoice, LayerRanks, RankCandidate } from '../../engine/contract/decomposition';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { bestChoices, choiceOf, sameChoice } from '../../engine/contract/rankChoices';
import type { RankedLayer, RanksPageContract, RanksPageState } from '../../engine/contract/ranksPage';
import { control, registerControls } from '../controls/controls';
import { Notice, element, figures, labelled, titleBlock } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import { type Looked, drawFacts } from './choiceFacts';
import { drawComparison } from './comparison';
import { modesText, ranksText } from './forms';
import { NetworkBudgetView } from './networkBudget';
import { type LayerState, drawLayerList } from './layerList';
import { OwnShape } from './ownShape';
import './ranks.css';
import { drawShape } from './shapeDiagram';
import { SpectrumChart } from './spectrumChart';
import { MEASURES, type Measure, TradeOffChart } from './tradeOffChart';

/** How long typing rests before the engine is asked what a shape costs. */
const COST_DELAY_MS = 150;

const host = connectHost<RanksPageContract>();

class RanksPage {
  private state: RanksPageState | undefined;
  private layer: string | undefined;
  private running: string | undefined;
  private readonly partial = new Map<string, LayerRanks>();
  private looked: Looked = {};
  private isBusy = false;
  private request = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly header = element('header', 'overview');
  private readonly list = element('div', 'layer-list');
  private readonly title = element('h2', 'layer-title');
  private readonly facts = element('p', 'layer-facts');
  private readonly verdict = element('p', 'verdict');
  private readonly notice = new Notice();
  private readonly batch = control('vscode-text-field', { id: 'batch', 'aria-label': 'Batch', size: '6' });
  private readonly measure = control('vscode-dropdown', { id: 'measure', 'aria-label': 'Across' });
  private readonly find = control('vscode-button', { id: 'find' }, 'Find candidates');
  private readonly findAll = control('vscode-button', { id: 'find-all', appearance: 'secondary' }, 'Find for all layers');
  private readonly stop = control('vscode-button', { id: 'cancel', appearance: 'secondary' }, 'Cancel');
  private readonly apply = control('vscode-button', { id: 'apply' }, 'Apply');
  private readonly fit = control('vscode-button', { id: 'fit', appearance: 'secondary' }, 'Fit and measure');
  private readonly remove = control('vscode-button', { id: 'remove', appearance: 'secondary' }, 'Back to dense');
  private readonly tune = control('vscode-button', { id: 'tune', appearance: 'secondary' }, 'Tune with data');
  private readonly results = element('div', 'results');
  private readonly spectrumSection = element('section', 'spectrum-section');
  private readonly choice = element('div', 'choice');
  private readonly shape = element('div', 'shape');
  private readonly comparison = element('section', 'comparison');
  private readonly table = element('div', 'comparison-table');
  private readonly own: OwnShape;
  private readonly budget = new NetworkBudgetView(host, {
    choose: (layer) => this.choose(layer),
    updateButtons: () => this.updateButtons(),
  });
  private readonly chart: TradeOffChart;
  private readonly spectrum: SpectrumChart;
  private readonly empty = element('p', 'empty', 'None of the layers of this model can be written in block-term form.');
  private readonly body = element('div', 'ranks');

  constructor(private readonly root: HTMLElement) {
    for (const [value, { name }] of Object.entries(MEASURES)) this.measure.append(control('vscode-option', { value }, name));
    this.own = new OwnShape(
      (choice) => this.look({ choice }),
      () => this.lookAtNothing(),
    );
    const [chartHost, spectrumHost] = [element('div', 'trade-off'), element('div', 'spectrum')];
    this.results.append(chartHost);
    this.spectrumSection.append(this.heading('Spectrum of the weight'), spectrumHost);
    this.body.append(this.list, this.detail());
    this.comparison.append(this.heading('Layers compared'), this.table);
    root.append(this.header, this.empty, this.body, this.comparison, this.budget.element);
    this.chart = new TradeOffChart(chartHost, (candidate) => this.lookAt(candidate));
    this.spectrum = new SpectrumChart(spectrumHost);
    this.listen();
    host.on('state', (state) => this.show(state));
    host.on('progress', ({ message, fraction }) => {
      const notice = this.budget.isBusy ? this.budget.notice : this.notice;
      notice.show(`${message} (${formatPercent(fraction, 0)})`);
    });
    host.on('partial', (ranks) => this.showPartial(ranks));
    host.on('reveal', ({ layer }) => this.choose(layer));
    host.ready();
  }

  private heading(text: string): HTMLElement {
    return element('h2', '', text);
  }

  private detail(): HTMLElement {
    const detail = element('div', 'detail');
    const fields = element('div', 'fields');
    fields.append(labelled('Across', this.measure), labelled('Batch', this.batch), this.find, this.findAll, this.stop);
    const buttons = element('div', 'buttons');
    buttons.append(this.apply, this.fit, this.remove, this.tune);
    const chosen = element('section', 'chosen');
    chosen.append(this.heading('Choice'), this.choice, this.own.element, buttons, this.shape);
    detail.append(this.title, this.facts, this.verdict, fields, this.notice.element, this.results, chosen, this.spectrumSection);
    return detail;
  }

  private listen(): void {
    this.measure.addEventListener('change', () => this.drawResults());
    this.find.addEventListener('click', () => void this.search(this.layer));
    this.findAll.addEventListener('click', () => void this.search());
    this.stop.addEventListener('click', () => void host.request('cancel', null));
    this.apply.addEventListener('click', () => void this.applyChoice());
    this.fit.addEventListener('click', () => void this.fitChoice());
    this.remove.addEventListener('click', () => void this.removeChoice());
    this.tune.addEventListener('click', () => void host.request('tune', null));
  }

  private show(state: RanksPageState): void {
    const isFirst = !this.state;
    this.state = state;
    this.root.setAttribute('aria-busy', 'false');
    if (isFirst) this.batch.value = String(state.batch);
    const [first] = [...state.layers].sort((a, b) => b.parameters - a.parameters);
    this.empty.hidden = first !== undefined;
    this.body.hidden = this.comparison.hidden = this.budget.element.hidden = first === undefined;
    this.budget.suggestData(state.data);
    for (const { layer, ranks } of state.layers)
      if (ranks && ranks.candidates.length >= (this.partial.get(layer)?.candidates.length ?? 0)) this.partial.delete(layer);
    this.showHeader(state);
    if (!this.current && first) this.choose(first.layer);
    else this.draw();
  }

  private showHeader({ file, layers, totals, original }: RanksPageState): void {
    const part = (name: string, now: number, before: number) => ({
      name,
      value: formatCount(now),
      ...(now === before ? {} : { detail: `${formatPercent(now / before)} of ${formatCount(before)}` }),
    });
    const planned = layers.filter((l) => l.planned).length;
    const subtitle = `${layers.length} ${layers.length === 1 ? 'layer' : 'layers'} can be written in block-term form, ${planned} ${planned === 1 ? 'is' : 'are'}`;
    this.header.replaceChildren(
      titleBlock(file, subtitle),
      figures([part('Parameters', totals.parameters, original.parameters), part('MACs', totals.macs, original.macs)]),
    );
  }

  private get current(): RankedLayer | undefined {
    return this.state?.layers.find((l) => l.layer === this.layer);
  }

  private get ranks(): LayerRanks | undefined {
    const { current } = this;
    return current && (this.partial.get(current.layer) ?? current.ranks);
  }

  private choose(name: string): void {
    if (this.state && !this.state.layers.some((l) => l.layer === name)) {
      this.notice.show(`Layer ${name} cannot be written in block-term form.`, 'error');
      if (this.layer !== undefined) return;
    }
    if (name !== this.layer) this.looked = {};
    this.layer = name;
    this.draw();
  }

  private draw(): void {
    const { state, current } = this;
    if (!state || !current) return;
    drawLayerList(this.list, state.layers, this.layer, (l) => this.stateOf(l), (name) => this.choose(name)); // prettier-ignore
    const { layer, op, inputs, outputs, gates, parameters, share, planned } = current;
    this.title.textContent = layer;
    const gated = gates > 1 ? ` (${gates} gates of ${outputs / gates})` : '';
    const form = planned ? ` · in the plan: ${modesText(planned)}, rank ${ranksText(planned.ranks)}, ${planned.blocks} blocks` : '';
    this.facts.textContent = `${op} · ${inputs} → ${outputs}${gated} · ${formatCount(parameters)} parameters, ${formatPercent(share)} of the model${form}`;
    if (!this.looked.choice && !this.looked.candidate) this.lookAtBest();
    else this.drawChoice();
    this.drawResults();
    drawComparison(this.table, state.layers, (name, candidate) => {
      this.choose(name);
      if (candidate) this.lookAt(candidate);
      this.title.scrollIntoView({ block: 'nearest' });
    });
    this.updateButtons();
  }

  private stateOf(layer: RankedLayer): LayerState {
    if (layer.layer === this.running) return 'running';
    return layer.planned ? 'planned' : layer.ranks ? 'ranked' : 'dense';
  }

  private drawResults(): void {
    const { ranks } = this;
    this.results.hidden = this.spectrumSection.hidden = !ranks;
    this.verdict.textContent = (ranks?.verdict || this.current?.ranks?.verdict) ?? '';
    if (!ranks) return;
    this.chart.show(ranks, (this.measure.value || 'parameters') as Measure, this.looked.candidate);
    this.spectrum.show(ranks);
  }

  private showPartial(ranks: LayerRanks): void {
    this.partial.set(ranks.layer, ranks);
    if (this.running !== ranks.layer) {
      this.running = ranks.layer;
      this.draw();
    } else if (ranks.layer === this.layer) this.drawResults();
  }

  /** What the plan has, or the least error at four times fewer parameters. */
  private lookAtBest(): void {
    const { current, ranks } = this;
    if (current?.planned) {
      const { planned } = current;
      const candidate = ranks?.candidates.find((c) => {
        const choice = choiceOf(ranks, c);
        return choice && sameChoice(choice, planned);
      });
      this.look(candidate ? { choice: planned, candidate } : { choice: planned });
      this.own.show(planned);
      return;
    }
    const best = ranks && ranks.verdict !== '' ? bestChoices(ranks) : [];
    const chosen = best.find((b) => b.target === 4) ?? best[0];
    if (chosen) this.lookAt(chosen.candidate);
    else this.lookAtNothing();
  }

  private lookAt(candidate: RankCandidate): void {
    const { ranks } = this;
    if (!ranks) return;
    const choice = choiceOf(ranks, candidate);
    if (choice) this.own.show(choice);
    this.look(choice ? { choice, candidate } : { candidate });
    this.drawResults();
  }

  private lookAtNothing(): void {
    this.looked = {};
    this.drawChoice();
  }

  private look(looked: Looked): void {
    this.looked = looked;
    this.drawChoice();
    const { layer } = this;
    const request = ++this.request;
    clearTimeout(this.timer);
    const { choice } = looked;
    if (!choice || layer === undefined) return;
    this.timer = setTimeout(() => void this.askCost(layer, choice, request), looked.candidate ? 0 : COST_DELAY_MS);
  }

  private async askCost(layer: string, choice: BlockTermChoice, request: number): Promise<void> {
    const answer = await host.request('cost', { layer, choice }).catch((error: unknown) => ({ problem: messageOf(error) }));
    if (request !== this.request) return;
    if ('problem' in answer) {
      this.own.showProblem(answer.problem);
      this.lookAtNothing();
    } else {
      this.looked = { ...this.looked, cost: answer.cost };
      this.drawChoice();
    }
  }

  private drawChoice(): void {
    const { looked, ranks, current } = this;
    const shown = looked.candidate ?? looked.cost;
    this.choice.hidden = this.shape.hidden = !shown;
    const isPlanned = current?.planned && looked.choice && sameChoice(current.planned, looked.choice);
    if (shown)
      drawFacts(this.choice, ranks, isPlanned && current.plannedError !== undefined ? { ...looked, error: current.plannedError } : looked);
    if (shown && looked.choice && current)
      drawShape(this.shape, looked.choice, current.op === 'Conv' ? current.parameters / (current.inputs * current.outputs) : 1);
    else this.shape.replaceChildren();
    if (looked.candidate && !looked.choice)
      this.shape.replaceChildren(element('p', 'note', 'A tensor train is here to compare with; layers are replaced by block-term forms.'));
    this.shape.hidden = this.shape.childElementCount === 0;
    this.updateButtons();
  }

  private updateButtons(): void {
    const { looked, current } = this;
    const isBusy = this.isBusy || this.budget.isBusy;
    const planned = current?.planned;
    const isPlanned = planned !== undefined && looked.choice !== undefined && sameChoice(planned, looked.choice);
    this.apply.disabled = isBusy || !looked.choice || !(looked.cost ?? looked.candidate) || isPlanned;
    this.apply.textContent = isPlanned ? 'Applied' : planned ? 'Apply in its place' : 'Apply';
    this.fit.disabled = isBusy || !looked.choice || looked.candidate !== undefined || !current?.ranks;
    this.remove.hidden = this.tune.hidden = planned === undefined;
    this.remove.disabled = this.tune.disabled = this.find.disabled = this.findAll.disabled = isBusy;
    this.stop.hidden = !this.isBusy;
    this.budget.block(this.isBusy);
  }

  private search(layer?: string): Promise<void> {
    return this.busy('Looking for candidates', async () => {
      const batch = Number(this.batch.value);
      if (!Number.isInteger(batch) || batch < 1) throw new Error(`Batch: “${this.batch.value}” is not a whole number above zero`);
      this.looked = {};
      try {
        const end = await host.request('ranks', { ...(layer === undefined ? {} : { layer }), batch });
        return end === 'cancelled' ? 'Cancelled. What was found so far stays until the page is closed.' : '';
      } finally {
        this.running = undefined;
      }
    });
  }

  private applyChoice(): Promise<void> {
    const { layer, looked } = this;
    const { choice } = looked;
    if (layer === undefined || !choice) return Promise.resolve();
    return this.busy(`Fitting ${layer}`, async () =>
      (await host.request('apply', { layer, choice })) === 'done'
        ? `${layer} is in block-term form now. Undo takes it back.`
        : 'Cancelled.',
    );
  }

  private fitChoice(): Promise<void> {
    const { layer, looked } = this;
    const { choice } = looked;
    if (layer === undefined || !choice) return Promise.resolve();
    return this.busy(`Fitting ${layer}`, async () => {
      const candidate = await host.request('fit', { layer, choice });
      if (!candidate) return 'Cancelled.';
      const added = this.ranks?.candidates.findLast((c) => c.error === candidate.error && c.parameters === candidate.parameters);
      this.look({ choice, candidate: added ?? candidate });
      this.drawResults();
      return '';
    });
  }

  private removeChoice(): Promise<void> {
    const { layer } = this;
    if (layer === undefined) return Promise.resolve();
    return this.busy('Taking it out of the plan', async () => {
      await host.request('remove', { layer });
      return '';
    });
  }

  private async busy(message: string, work: () => Promise<string>): Promise<void> {
    this.isBusy = true;
    this.updateButtons();
    this.notice.show(message);
    try {
      this.notice.show(await work());
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    } finally {
      this.isBusy = false;
      this.draw();
    }
  }
}

registerControls();
const page = document.getElementById('page');
if (page) new RanksPage(page);

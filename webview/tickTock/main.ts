import type { TickTockPoint } from '../../engine/contract/tickTock';
import type { TickTockPageContract, TickTockPageState, TickTockStatus } from '../../engine/contract/tickTockPage';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { control, registerControls } from '../controls/controls';
import { Notice, element, figures, titleBlock } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import { CurvesView, describePoint } from './curves';
import { FormView } from './form';
import { comparisonTable, resultCard } from './resultCard';
import './tickTock.css';

const host = connectHost<TickTockPageContract>();

type Request = 'stop' | 'pause' | 'resume' | 'discard' | 'applyToSource';

class TickTockPage {
  private state: TickTockPageState | undefined;
  private status: TickTockStatus | undefined;
  private output: string | undefined;
  private chosen: TickTockPoint | undefined;
  private readonly header = element('header', 'overview');
  private readonly notice = new Notice();
  private readonly setup = element('details', 'setup');
  private readonly form: FormView;
  private readonly locked = element('p', 'hint');
  private readonly start = control('vscode-button', { id: 'start' }, 'Start');
  private readonly runSection = element('section', 'run');
  private readonly line = new Notice();
  private readonly bar = element('progress', 'bar-of-run');
  private readonly buttons = {
    stop: this.button('stop', 'Stop and keep this network'),
    pause: this.button('pause', 'Pause'),
    resume: this.button('resume', 'Resume'),
    discard: this.button('discard', 'Give up'),
  };
  private readonly now = element('div', 'now');
  private readonly curves = new CurvesView((point) => this.choose(point));
  private readonly choice = element('div', 'choice');
  private readonly result = element('section', 'outcome');
  private readonly card = element('div');
  private readonly comparison = element('div', 'comparison-host');

  constructor(private readonly root: HTMLElement) {
    this.form = new FormView({
      chooseSettings: () => void this.chooseSettings(),
      writeSettings: () => void this.tell(() => host.request('writeSettings', null)),
    });
    this.start.addEventListener('click', () => void this.tell(() => host.request('start', this.form.read())));
    const actions = element('div', 'fields');
    actions.append(this.start);
    this.setup.append(element('summary', '', 'Setup'), this.form.element, this.locked, actions);
    const controls = element('div', 'fields controls');
    controls.append(...Object.values(this.buttons));
    this.choice.setAttribute('role', 'status');
    this.runSection.append(this.line.element, this.bar, controls, this.now, this.curves.element, this.choice);
    this.result.append(element('h2', '', 'Result'), this.card, this.resultButtons(), this.comparison);
    root.append(this.header, this.setup, this.notice.element, this.runSection, this.result);
    host.on('state', (state) => this.show(state));
    host.on('progress', ({ message, fraction }) => {
      if (this.state?.run?.status === 'running') this.line.show(message);
      this.bar.value = fraction;
    });
    host.ready();
  }

  private button(request: Request, text: string, appearance = 'secondary'): ReturnType<typeof control> {
    const made = control('vscode-button', { id: request, appearance }, text);
    made.addEventListener('click', () => void this.tell(() => host.request(request, null)));
    return made;
  }

  private resultButtons(): HTMLElement {
    const open = control('vscode-button', { id: 'open' }, 'Open the result');
    open.addEventListener('click', () => void this.tell(() => host.request('open', {})));
    const compare = control('vscode-button', { id: 'compare', appearance: 'secondary' }, 'Compare layers');
    compare.addEventListener('click', () => void this.compare());
    const made = element('div', 'fields');
    made.append(open, compare, this.button('applyToSource', 'Apply to source'));
    return made;
  }

  private show(state: TickTockPageState): void {
    const isFirst = !this.state;
    this.state = state;
    const { run, whole } = state;
    if (this.output !== run?.output) [this.output, this.chosen, this.status] = [run?.output, undefined, undefined];
    this.root.setAttribute('aria-busy', 'false');
    const cost = `${formatCount(whole.macs)} MACs · ${formatCount(whole.parameters)} parameters · ${whole.filters} prunable filters`;
    this.header.replaceChildren(titleBlock(`Tick-Tock: ${state.file}`, cost));
    if (isFirst) this.form.show(state.form, state.paper);
    this.locked.textContent = lockedText(state);
    const isActive = run !== undefined && ['running', 'stopping', 'pausing'].includes(run.status);
    if (isFirst || this.status !== run?.status) this.setup.open = !run || run.status === 'failed';
    this.start.disabled = isActive;
    this.runSection.hidden = !run || (run.status === 'failed' && run.points.length === 0);
    if (run?.status === 'failed') this.notice.show(run.message, run.message === 'Given up.' ? 'info' : 'error');
    else if (this.status !== run?.status) this.notice.show('');
    if (run) this.showRun(state, run.status);
    this.result.hidden = !run?.card;
    if (run?.card && this.status !== 'done') {
      this.card.replaceChildren(resultCard(run.card));
      this.comparison.replaceChildren();
    }
    this.status = run?.status;
  }

  private showRun(state: TickTockPageState, status: TickTockStatus): void {
    const { run, whole } = state;
    if (!run) return;
    if (status !== 'running' || this.status !== 'running') this.line.show(run.message);
    const isActive = status === 'running' || status === 'stopping' || status === 'pausing';
    this.bar.hidden = !isActive;
    this.buttons.stop.hidden = this.buttons.pause.hidden = !isActive;
    this.buttons.stop.disabled = this.buttons.pause.disabled = status !== 'running' || run.points.length === 0;
    this.buttons.resume.hidden = status !== 'paused';
    this.buttons.discard.hidden = !isActive && status !== 'paused';
    const last = run.points.at(-1);
    this.now.replaceChildren(
      figures([
        { id: 'now-ticks', name: 'Ticks', value: String(last?.ticks ?? 0) },
        { id: 'now-filters', name: 'Filters left', value: last ? String(last.filters) : '–' },
        { id: 'now-macs', name: 'MACs left', value: formatPercent((last?.macs ?? whole.macs) / whole.macs) },
        { id: 'now-parameters', name: 'Parameters left', value: formatPercent((last?.parameters ?? whole.parameters) / whole.parameters) },
        { id: 'now-accuracy', name: 'Accuracy', value: last ? formatPercent(last.accuracy, 2) : '–' },
        ...(last?.latencyMs === undefined ? [] : [{ name: 'Latency', value: `${last.latencyMs.toFixed(2)} ms` }]),
      ]),
    );
    this.curves.element.hidden = run.points.length === 0;
    this.curves.show(state);
    if (!this.chosen) this.showChoice();
  }

  private choose(point: TickTockPoint): void {
    this.chosen = point;
    this.showChoice();
  }

  /** The chosen point, and what can be done with it. */
  private showChoice(): void {
    const { chosen, state } = this;
    if (!state?.run?.points.length) return;
    if (!chosen) {
      this.choice.replaceChildren(
        element('span', 'hint', 'Click a point of a curve (or press Enter on it) to open the network as it was there.'),
      );
      return;
    }
    const { snapshot } = chosen;
    this.choice.replaceChildren(element('span', '', describePoint(chosen, state.whole)));
    if (!snapshot) return this.choice.append(element('span', 'hint', ' Networks of earlier Ticks were not kept in this run.'));
    const open = control('vscode-button', { id: 'open-tick', appearance: 'secondary' }, 'Open this network');
    open.addEventListener('click', () => void this.tell(() => host.request('open', { snapshot })));
    this.choice.append(open);
  }

  private async chooseSettings(): Promise<void> {
    await this.tell(async () => {
      const chosen = await host.request('chooseSettings', null);
      if (chosen) this.form.showFile(chosen.name, chosen.settings);
    });
  }

  private async compare(): Promise<void> {
    await this.tell(async () => this.comparison.replaceChildren(comparisonTable(await host.request('compare', null))));
  }

  private async tell(work: () => Promise<unknown>): Promise<void> {
    try {
      this.notice.show('');
      await work();
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    }
  }
}

function lockedText({ locked, hasSurgery }: TickTockPageState): string {
  const parts = [
    ...(hasSurgery ? ['The cuts of the surgery plan are made first.'] : []),
    ...(locked.length > 0 ? [`Locked, loses nothing: ${locked.join(', ')}.`] : []),
  ];
  return parts.join(' ');
}

registerControls();
const page = document.getElementById('page');
if (page) new TickTockPage(page);

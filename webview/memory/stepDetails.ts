import { formatBytes } from '../../engine/contract/format';
import type { ConvolutionForm, MemoryPoint } from '../../engine/contract/memory';
import { control } from '../controls/controls';
import { element } from '../shared/elements';
import { kindColour } from './areaCanvas';
import { KIND_NAMES, PHASE_NAMES, type Timeline } from './timeline';

interface DetailsEvents {
  onReveal(layer: string, where: 'model' | 'source'): void;
  onStep(step: number): void;
}

/** One step in words: layer and pass, bytes by kind, and the tensors alive. */
export class StepDetails {
  readonly element = element('aside', 'details');
  private readonly title = element('h2');
  private readonly layer = element('button', 'link layer-name');
  private readonly kinds = element('dl', 'kinds');
  private readonly forms = element('p', 'forms');
  private readonly tensors = element('table', 'tensors');
  private readonly passes = element('div', 'passes');
  private readonly model = control('vscode-button', { appearance: 'secondary', id: 'show-in-model' }, 'Show in model');
  private readonly source = control('vscode-button', { appearance: 'secondary', id: 'go-to-source' }, 'Go to source');
  private shown = '';

  constructor(private readonly events: DetailsEvents) {
    const links = element('div', 'links');
    links.append(this.model, this.source);
    this.layer.type = 'button';
    for (const way of [this.layer, this.model]) way.addEventListener('click', () => events.onReveal(this.shown, 'model'));
    this.source.addEventListener('click', () => events.onReveal(this.shown, 'source'));
    this.element.append(this.title, this.layer, this.passes, links, this.kinds, this.forms, this.tensors);
  }

  show(timeline: Timeline, step: number, isPeak: boolean, isKnown: boolean): void {
    const layer = timeline.layer(step);
    this.shown = layer;
    this.title.textContent = isPeak ? 'At the peak' : `Step ${step}`;
    this.layer.textContent = layer;
    this.layer.title = `Show ${layer} in the model`;
    this.layer.disabled = this.model.disabled = this.source.disabled = !isKnown;
    this.showPasses(timeline, step);
    this.showKinds(timeline, step);
  }

  /** How the gradients of the step's layer are computed, where the budget decides. */
  showForms(forms: readonly ConvolutionForm[]): void {
    this.forms.textContent = forms.map(describeForm).join(' ');
  }

  showTensors(tensors: MemoryPoint['alive'], others: number): void {
    const head = element('tr');
    head.append(element('th', '', 'Tensor'), element('th', 'number', 'Size'));
    const rows = tensors.map(({ name, bytes, kind }) => {
      const row = element('tr');
      const cell = element('td', 'name');
      cell.title = `${name} (${KIND_NAMES[kind]})`;
      cell.append(swatch(kindColour(kind)), name);
      row.append(cell, element('td', 'number', formatBytes(bytes)));
      return row;
    });
    if (others > 0) {
      const row = element('tr', 'light');
      row.append(element('td', '', 'smaller tensors'), element('td', 'number', formatBytes(others)));
      rows.push(row);
    }
    this.tensors.replaceChildren(head, ...rows);
  }

  /** Every stretch of steps of this layer: its forward pass, its backward pass, its update. */
  private showPasses(timeline: Timeline, step: number): void {
    const layer = timeline.layer(step);
    const largest = new Map<MemoryPoint['phase'], number>();
    for (let s = 0; s < timeline.length; s++) {
      if (timeline.layer(s) !== layer) continue;
      const phase = timeline.phase(s);
      const best = largest.get(phase);
      if (best === undefined || (timeline.totals[s] ?? 0) > (timeline.totals[best] ?? 0)) largest.set(phase, s);
    }
    this.passes.replaceChildren(
      ...[...largest].map(([phase, at]) => {
        const button = element('button', 'pass-button', PHASE_NAMES[phase]);
        button.type = 'button';
        button.title = `Step ${at}, ${formatBytes(timeline.totals[at] ?? 0)} in the pool`;
        button.setAttribute('aria-pressed', String(phase === timeline.phase(step)));
        button.addEventListener('click', () => this.events.onStep(at));
        return button;
      }),
    );
  }

  private showKinds(timeline: Timeline, step: number): void {
    const row = (name: string, bytes: number, colour: string): HTMLElement[] => {
      const term = element('dt');
      term.append(swatch(colour), name);
      return [term, element('dd', '', formatBytes(bytes))];
    };
    const away = timeline.offloaded[step] ?? 0;
    this.kinds.replaceChildren(
      ...[...timeline.kinds].reverse().flatMap((kind) => row(KIND_NAMES[kind], timeline.bytes(kind, step), kindColour(kind))),
      ...(timeline.mostOffloaded > 0 ? row('out of the pool', away, 'var(--hatch)') : []),
    );
  }
}

function describeForm({ gradient, form, workspaceBytes, bytesLeft, fastestForm, fastestWorkspaceBytes }: ConvolutionForm): string {
  const fastest = form === fastestForm ? 'the fastest way' : `the fastest, ${fastestForm}, needs ${formatBytes(fastestWorkspaceBytes)}`;
  return `Gradient of the ${gradient}: ${form}, ${formatBytes(workspaceBytes)} of workspace where ${formatBytes(bytesLeft)} are left (${fastest}).`;
}

function swatch(colour: string): HTMLElement {
  const made = element('span', 'swatch');
  made.style.background = colour;
  return made;
}

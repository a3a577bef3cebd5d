import { max } from 'd3';
import { formatBytes, formatCount } from '../../engine/contract/format';
import type { LayerSummary } from '../../engine/contract/models';
import { isReplaceableOperator } from '../../engine/contract/rankChoices';
import type { ModelState } from '../../engine/contract/page';
import { element } from '../shared/elements';

export interface LayerEvents {
  onHighlight(group: string | undefined): void;
  onLock(group: string, locked: boolean): void;
  onNoise(layer: string): void;
  onRanks(layer: string): void;
}

const COLUMNS = [
  ['Layer', ''],
  ['Operator', ''],
  ['Output', 'wide'],
  ['MACs', 'number'],
  ['Parameters', 'number'],
  ['Activations', 'number wide'],
] as const;

/** Every layer with its cost, its lock and its noise. The layers of one group light up together. */
export class LayersTable {
  readonly element = element('div', 'layers');

  constructor(private readonly events: LayerEvents) {}

  /** @param groupOf group of each layer that can be cut */
  show(state: ModelState, groupOf: ReadonlyMap<string, string>, locked: ReadonlySet<string>): void {
    const { layers, locked: fixed } = state.summary;
    const most = { macs: max(layers, (l) => l.macs) ?? 0, parameters: max(layers, (l) => l.parameters) ?? 0 };
    const reasons = new Map(fixed.map((l) => [l.layer, l.reason]));
    const noisy = noisyLayers(state);
    const head = element('tr');
    head.append(...COLUMNS.map(([name, kind]) => element('th', kind, name)));
    const body = element('tbody');
    for (const layer of layers) {
      const row = element('tr', layer.macs > 0 ? '' : 'light');
      row.dataset.layer = layer.name;
      const group = groupOf.get(layer.name);
      const name = element('td', 'name', layer.name);
      name.title = layer.name;
      if (group !== undefined) {
        row.dataset.group = group;
        name.append(this.lockOf(group, locked.has(group)));
      }
      const reason = reasons.get(layer.name);
      if (reason !== undefined) name.append(fixedMark(reason));
      if (state.summary.noiseLayers.includes(layer.name) || noisy.has(layer.name)) name.append(this.noiseOf(layer.name, noisy));
      if (isReplaceableOperator(layer.op) && layer.parameters > 0) name.append(this.ranksOf(layer.name));
      row.append(
        name,
        element('td', '', layer.op),
        element('td', 'wide', layer.outputShape.join(' × ')),
        barCell(layer, 'macs', most.macs),
        barCell(layer, 'parameters', most.parameters),
        element('td', 'number wide', formatBytes(layer.activationBytes)),
      );
      body.append(row);
    }
    const table = element('table');
    const top = element('thead');
    top.append(head);
    table.append(top, body);
    body.addEventListener('pointerover', ({ target }) => this.events.onHighlight(groupAt(target)));
    body.addEventListener('focusin', ({ target }) => this.events.onHighlight(groupAt(target)));
    for (const end of ['pointerleave', 'focusout']) body.addEventListener(end, () => this.events.onHighlight(undefined));
    this.element.replaceChildren(table);
  }

  highlight(group: string | undefined): void {
    for (const row of this.element.querySelectorAll<HTMLElement>('tr.coupled')) row.classList.remove('coupled');
    if (group === undefined) return;
    for (const row of this.element.querySelectorAll(`tr[data-group="${CSS.escape(group)}"]`)) row.classList.add('coupled');
  }

  /** Scrolls to a layer and marks it. */
  reveal(layer: string): void {
    this.element.querySelectorAll('tr.revealed').forEach((row) => row.classList.remove('revealed'));
    const row = this.element.querySelector(`tr[data-layer="${CSS.escape(layer)}"]`);
    row?.classList.add('revealed');
    row?.scrollIntoView({ block: 'center' });
  }

  private lockOf(group: string, isLocked: boolean): HTMLElement {
    const made = badge('lock-badge', isLocked ? 'locked' : 'lock', isLocked);
    made.title = isLocked ? `${group} keeps all its filters; click to unlock` : `Keep all filters of ${group}`;
    made.addEventListener('click', () => this.events.onLock(group, !isLocked));
    return made;
  }

  private noiseOf(layer: string, noisy: ReadonlySet<string>): HTMLElement {
    const isOn = noisy.has(layer);
    const made = badge('noise-badge', 'noise', isOn);
    made.title = isOn ? 'Takes noise while training; click to stop' : 'Let it take noise while training';
    made.addEventListener('click', () => this.events.onNoise(layer));
    return made;
  }

  private ranksOf(layer: string): HTMLElement {
    const made = element('button', 'badge rank-button', 'ranks');
    made.type = 'button';
    made.title = `Choose block-term ranks for ${layer}`;
    made.addEventListener('click', () => this.events.onRanks(layer));
    return made;
  }
}

const groupAt = (target: EventTarget | null): string | undefined =>
  target instanceof Element ? target.closest<HTMLElement>('tr[data-group]')?.dataset.group : undefined;

function badge(className: string, text: string, isPressed: boolean): HTMLButtonElement {
  const made = element('button', `badge ${className}`, text);
  made.type = 'button';
  made.setAttribute('aria-pressed', String(isPressed));
  return made;
}

/** The channels of this layer cannot go, and why. */
function fixedMark(reason: string): HTMLElement {
  const mark = element('span', 'fixed', 'fixed');
  mark.title = reason;
  return mark;
}

function noisyLayers({ summary, operations }: ModelState): ReadonlySet<string> {
  const planned = operations.findLast((o) => o.kind === 'insert-noise' && o.enabled);
  const noise = planned?.kind === 'insert-noise' ? planned.noise : undefined;
  return new Set(noise && noise.method !== 'adversarial' ? (noise.layers ?? summary.noiseLayers) : []);
}

function barCell(layer: LayerSummary, key: 'macs' | 'parameters', most: number): HTMLElement {
  const cell = element('td', 'number');
  const bar = element('span', 'bar');
  bar.style.width = `${most > 0 ? (48 * layer[key]) / most : 0}px`;
  cell.append(bar, element('span', '', layer[key] > 0 ? formatCount(layer[key]) : ''));
  return cell;
}

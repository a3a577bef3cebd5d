import { max, select } from 'd3';
import { formatCount, formatPercent } from '../../engine/contract/format';
import type { RankedLayer } from '../../engine/contract/ranksPage';

export type LayerState = 'dense' | 'planned' | 'ranked' | 'running';

const stateText = (state: LayerState, { ranks }: RankedLayer): string =>
  ({ dense: '', planned: 'in the plan', ranked: `${ranks?.candidates.length ?? 0} candidates`, running: 'working' })[state];

/** The layers that can be replaced, as a list to choose one from; bars show their part of the model. */
export function drawLayerList(
  host: HTMLElement,
  layers: readonly RankedLayer[],
  chosen: string | undefined,
  stateOf: (layer: RankedLayer) => LayerState,
  choose: (layer: string) => void,
): void {
  const largest = max(layers, (l) => l.share) ?? 1;
  const items = select(host)
    .attr('role', 'listbox')
    .attr('aria-label', 'Layers')
    .selectAll<HTMLDivElement, RankedLayer>('div.item')
    .data(layers, (d) => d.layer)
    .join((enter) => {
      const item = enter.append('div').attr('class', 'item').attr('role', 'option');
      item.append('span').attr('class', 'item-name');
      item.append('span').attr('class', 'item-share');
      item.append('span').attr('class', 'item-detail');
      item.append('span').attr('class', 'item-state');
      item.append('span').attr('class', 'item-bar');
      return item;
    });
  items
    .attr('data-layer', (d) => d.layer)
    .attr('aria-selected', (d) => String(d.layer === chosen))
    .attr('tabindex', (d, i) => (d.layer === chosen || (chosen === undefined && i === 0) ? 0 : -1))
    .on('click', (_event, d) => choose(d.layer))
    .on('keydown', (event: KeyboardEvent, d) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const next = step === undefined ? undefined : layers[layers.indexOf(d) + step];
      if (event.key === 'Enter' || event.key === ' ') choose(d.layer);
      else if (next) choose(next.layer);
      else return;
      event.preventDefault();
      if (next) host.querySelector<HTMLElement>(`[data-layer="${CSS.escape(next.layer)}"]`)?.focus();
    });
  items
    .select('.item-name')
    .attr('title', (d) => d.layer)
    .text((d) => d.layer);
  items.select('.item-share').text((d) => formatPercent(d.share));
  items.select('.item-detail').text((d) => `${d.op} ${d.inputs} → ${d.outputs} · ${formatCount(d.parameters)}`);
  items
    .select('.item-state')
    .attr('class', (d) => `item-state ${stateOf(d)}`)
    .text((d) => stateText(stateOf(d), d));
  items.select<HTMLElement>('.item-bar').style('width', (d) => `${(100 * d.share) / largest}%`);
}

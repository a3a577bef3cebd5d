import { select } from 'd3';
import type { LayerSummary } from '../../engine/contract/models';
import { formatBytes, formatCount } from '../../engine/contract/format';
import { largestOf } from './importanceView';

/** Which layers may take noise while training, and which do. */
export interface NoiseBadges {
  readonly places: ReadonlySet<string>;
  readonly chosen: ReadonlySet<string>;
  toggle(layer: string): void;
}

/** Layers with weights first to the eye: bars for MACs and parameters. */
export function drawLayers(host: HTMLElement, layers: readonly LayerSummary[], noise: NoiseBadges): void {
  const [macs, parameters] = [largestOf(layers.map((l) => l.macs)), largestOf(layers.map((l) => l.parameters))];
  const table = select(host).selectAll<HTMLTableElement, null>('table').data([null]).join('table');
  table.selectAll('*').remove();
  const header = table.append('thead').append('tr');
  for (const [name, kind] of [
    ['Layer', ''],
    ['Operator', ''],
    ['Output', 'wide'],
    ['MACs', 'number'],
    ['Parameters', 'number'],
    ['Activations', 'number wide'],
  ] as const)
    header.append('th').attr('class', kind).text(name);
  const rows = table
    .append('tbody')
    .selectAll('tr')
    .data(layers)
    .join('tr')
    .attr('class', (d) => (d.macs > 0 ? '' : 'light'))
    .attr('data-layer', (d) => d.name);
  const names = rows
    .append('td')
    .attr('class', 'name')
    .attr('title', (d) => d.name)
    .text((d) => d.name);
  names
    .filter((d) => noise.places.has(d.name) || noise.chosen.has(d.name))
    .append('button')
    .attr('class', 'noise-badge')
    .attr('type', 'button')
    .attr('aria-pressed', (d) => String(noise.chosen.has(d.name)))
    .attr('title', (d) => (noise.chosen.has(d.name) ? 'Takes noise while training; click to stop' : 'Let it take noise while training'))
    .text('noise')
    .on('click', (_event, d) => noise.toggle(d.name));
  rows.append('td').text((d) => d.op);
  rows
    .append('td')
    .attr('class', 'wide')
    .text((d) => d.outputShape.join(' × '));
  bar(rows.append('td').attr('class', 'number'), (d) => d.macs, macs);
  bar(rows.append('td').attr('class', 'number'), (d) => d.parameters, parameters);
  rows
    .append('td')
    .attr('class', 'number wide')
    .text((d) => formatBytes(d.activationBytes));
}

/** Scrolls to a layer and marks it. */
export function revealLayer(host: HTMLElement, layer: string): void {
  host.querySelectorAll('tr.revealed').forEach((row) => row.classList.remove('revealed'));
  const row = host.querySelector(`tr[data-layer="${CSS.escape(layer)}"]`);
  row?.classList.add('revealed');
  row?.scrollIntoView({ block: 'center' });
}

type Cells = ReturnType<ReturnType<typeof select<HTMLElement, LayerSummary>>['selectAll']>;

function bar(cells: unknown, value: (layer: LayerSummary) => number, largest: number): void {
  const selection = cells as Cells;
  selection
    .append('span')
    .attr('class', 'bar')
    .style('width', (d) => `${largest > 0 ? (48 * value(d as LayerSummary)) / largest : 0}px`);
  selection.append('span').text((d) => (value(d as LayerSummary) > 0 ? formatCount(value(d as LayerSummary)) : ''));
}

import { formatBytes, formatCount, formatPercent } from '../../engine/contract/format';
import type { Measured } from '../../engine/contract/models';
import type { LayerComparison, TickTockCard } from '../../engine/contract/tickTockPage';
import { element } from '../shared/elements';

type Row = readonly [name: string, before: string, after: string, kept: string];

/** What the run did to the network, measured before and after on this machine. */
export function resultCard({ before, after, maskedDifference, stopped }: TickTockCard): HTMLElement {
  const card = element('div', 'card');
  const row = (name: string, value: (m: Measured) => number, format: (v: number) => string): Row => [
    name,
    format(value(before)),
    format(value(after)),
    formatPercent(value(after) / value(before)),
  ];
  const accuracy = (m: Measured): string => (m.accuracy === undefined ? '–' : formatPercent(m.accuracy, 2));
  const latency = ({ latencyMs, latencySpreadMs = 0 }: Measured): string =>
    `${latencyMs.toFixed(3)} ms ± ${(latencySpreadMs / 2).toFixed(3)}`;
  const change = 100 * ((after.accuracy ?? NaN) - (before.accuracy ?? NaN));
  const rows: Row[] = [
    [
      'Accuracy',
      accuracy(before),
      accuracy(after),
      Number.isNaN(change) ? '' : `${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(2)} points`,
    ],
    row('MACs', (m) => m.macs, formatCount),
    row('Parameters', (m) => m.parameters, formatCount),
    row('File', (m) => m.bytes, formatBytes),
    row('Peak activations', (m) => m.peakActivationBytes ?? 0, formatBytes),
    ['Latency, median', latency(before), latency(after), formatPercent(after.latencyMs / before.latencyMs)],
  ];
  card.append(table(['', 'before', 'after', 'kept'], rows, 'result'));
  if (after.reductionRealised !== undefined)
    card.append(element('p', 'latency-note', `${formatPercent(after.reductionRealised)} of the reduction in MACs became time.`));
  if (after.latencyNote) card.append(element('p', 'latency-note', after.latencyNote));
  const check = `Pruned and masked network differ by ${maskedDifference.toExponential(1)} (relative) at most.`;
  card.append(element('p', 'checked', stopped ? `${check} The run was stopped: this network was not tuned further.` : check));
  return card;
}

/** Layers that lost channels, before and after. */
export function comparisonTable(layers: readonly LayerComparison[]): HTMLElement {
  const changed = layers.filter((l) => l.macs[0] !== l.macs[1] || l.parameters[0] !== l.parameters[1]);
  const pair = ([a, b]: readonly [number, number], format: (v: number) => string): string =>
    a === b ? format(a) : `${format(a)} → ${format(b)}`;
  const rows = changed.map((l) => [l.layer, pair(l.channels, String), pair(l.macs, formatCount), pair(l.parameters, formatCount)]);
  return table(['Layer', 'Channels', 'MACs', 'Parameters'], rows, 'comparison');
}

function table(head: readonly string[], rows: readonly (readonly string[])[], className: string): HTMLElement {
  const made = element('table', className);
  const header = element('tr');
  header.append(...head.map((name, i) => element('th', i === 0 ? '' : 'number', name)));
  const top = element('thead');
  top.append(header);
  const body = element('tbody');
  for (const cells of rows) {
    const line = element('tr');
    line.append(...cells.map((text, i) => element('td', i === 0 ? 'name' : 'number', text)));
    body.append(line);
  }
  made.append(top, body);
  return made;
}

import type { Measured } from '../contract/models';
import { formatBytes, formatPercent, formatTable } from './table';

/** Before and after, as a table with what is kept. */
export function formatCard({ before, after, maskedDifference }: { before: Measured; after: Measured; maskedDifference: number }): string {
  const count = (name: string, key: 'parameters' | 'macs'): string[] => [
    name,
    before[key].toLocaleString('en-US'),
    after[key].toLocaleString('en-US'),
    formatPercent(after[key] / before[key]),
  ];
  const bytes = (name: string, a: number, b: number): string[] => [name, formatBytes(a), formatBytes(b), formatPercent(b / a)];
  const percent = (value: number | undefined): string => (value === undefined ? '-' : formatPercent(value));
  const latency = ({ latencyMs, latencySpreadMs = 0 }: Measured): string =>
    `${latencyMs.toFixed(3)} ms (± ${(latencySpreadMs / 2).toFixed(3)})`;
  const rows = [
    count('parameters', 'parameters'),
    count('MACs', 'macs'),
    bytes('file', before.bytes, after.bytes),
    bytes('peak activations', before.peakActivationBytes ?? 0, after.peakActivationBytes ?? 0),
    ['latency', latency(before), latency(after), formatPercent(after.latencyMs / before.latencyMs)],
    ['accuracy', percent(before.accuracy), percent(after.accuracy), ''],
  ];
  const realised =
    after.reductionRealised === undefined ? [] : [`${formatPercent(after.reductionRealised)} of the reduction in MACs became time.`];
  const why = after.latencyNote === undefined ? [] : [after.latencyNote];
  return [
    formatTable(['', 'before', 'after', 'kept'], rows),
    ...realised,
    ...why,
    `Pruned and masked network differ by ${maskedDifference.toExponential(1)} (relative).`,
  ].join('\n');
}

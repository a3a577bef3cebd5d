import { formatBytes, formatPercent, formatSeconds } from '../../engine/contract/format';
import type { PolicyReport } from '../../engine/contract/memory';
import type { MemoryView } from '../../engine/contract/memoryPage';
import { type Figure, figures } from '../shared/elements';
import { PHASE_NAMES, type Timeline } from './timeline';

/** What a budget costs; undefined where it is not known yet or the budget cannot be met. */
export type Cost = Pick<PolicyReport, 'poolBytes' | 'trafficBytes' | 'recomputations' | 'extraSeconds' | 'extraFraction'> | undefined;

export interface Effect {
  readonly view: MemoryView;
  readonly timeline: Timeline;
  /** Of the policy that is chosen. */
  readonly own: PolicyReport;
  readonly cost: Cost;
  readonly isEstimate: boolean;
}

/** Where the peak is, which layer makes it and what the budget costs, in a row of numbers. */
export function effectFigures({ view, timeline, own, cost, isEstimate }: Effect): HTMLElement {
  const value = (text: (known: NonNullable<Cost>) => string): string => (cost ? text(cost) : '–');
  const { peak } = timeline;
  const shown: Figure[] = [
    {
      id: 'peak',
      name: 'Peak',
      value: value(() => formatBytes(timeline.totals[peak] ?? 0)),
      detail: value(() => `${timeline.layer(peak)}, ${PHASE_NAMES[timeline.phase(peak)]}`),
      isEstimate,
    },
    { id: 'pool', name: 'Pool', value: value((c) => formatBytes(c.poolBytes ?? 0)), detail: 'with gaps', isEstimate },
    {
      id: 'added-time',
      name: 'Time added',
      value: value((c) => formatPercent(c.extraFraction ?? 0)),
      detail: value((c) => `${formatTime(c.extraSeconds ?? 0)} on ${formatTime(view.report.seconds)}`),
      isEstimate,
    },
    { id: 'traffic', name: 'Moved', value: value((c) => formatBytes(c.trafficBytes ?? 0)), detail: 'out and back', isEstimate },
    { id: 'recomputed', name: 'Computed again', value: value((c) => String(c.recomputations ?? 0)), detail: 'operators', isEstimate },
    {
      id: 'floor',
      name: 'Least budget',
      value: formatBytes(own.floorBytes),
      detail: own.floorLayer ? `set by ${own.floorLayer}` : 'everything stays',
    },
  ];
  if (view.before) shown.push(beforeSurgery(view.before));
  return figures(shown, 'small');
}

const beforeSurgery = ({ feasible, peakBytes = 0, extraFraction = 0, floorBytes }: PolicyReport): Figure => ({
  id: 'before',
  name: 'Peak before surgery',
  value: feasible ? formatBytes(peakBytes) : 'does not fit',
  detail: `${feasible ? `${formatPercent(extraFraction)} added, ` : ''}least budget ${formatBytes(floorBytes)}`,
});

const formatTime = (seconds: number): string => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : formatSeconds(seconds));

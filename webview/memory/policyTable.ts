import { formatBytes, formatPercent } from '../../engine/contract/format';
import type { MemoryPolicy, PolicyReport } from '../../engine/contract/memory';
import { element } from '../shared/elements';

const POLICIES: Readonly<Record<MemoryPolicy, string>> = {
  none: 'Everything stays until the end of the step',
  liveness: 'Memory is used again as soon as nothing reads it',
  offload: 'What does not fit leaves for a spill file and comes back',
  recompute: 'What does not fit is computed again',
  auto: 'Offload or recompute, whichever costs less',
};

/** The policies side by side; choosing one shows its timeline. */
export class PolicyTable {
  readonly element = element('table', 'policies');
  private readonly body = element('tbody');

  constructor(
    private readonly onChoose: (policy: MemoryPolicy) => void,
    private readonly onReveal: (layer: string) => void,
  ) {
    const head = element('tr');
    for (const [name, kind] of [
      ['Policy', ''],
      ['Pool', 'bar-column'],
      ['', 'number'],
      ['Peak', 'number wide'],
      ['Moved', 'number'],
      ['Computed again', 'number wide'],
      ['Time added', 'number'],
      ['Least budget', 'number'],
      ['Set by', 'wide'],
    ] as const)
      head.append(element('th', kind, name));
    const top = element('thead');
    top.append(head);
    this.element.append(top, this.body);
  }

  show(policies: readonly PolicyReport[], chosen: MemoryPolicy, budget: number | undefined): void {
    const focused = (document.activeElement as HTMLInputElement | null)?.name === 'policy';
    const largest = Math.max(...policies.map((p) => Math.max(p.poolBytes ?? 0, p.floorBytes)), budget ?? 0);
    this.body.replaceChildren(...policies.map((report) => this.row(report, report.policy === chosen, budget, largest)));
    if (focused) this.body.querySelector<HTMLInputElement>('input:checked')?.focus();
  }

  private row(report: PolicyReport, isChosen: boolean, budget: number | undefined, largest: number): HTMLTableRowElement {
    const { policy, feasible, floorBytes, floorLayer } = report;
    const row = element('tr', `${isChosen ? 'chosen' : ''}${feasible ? '' : ' impossible'}`);
    row.dataset.policy = policy;
    const radio = element('input');
    [radio.type, radio.name, radio.value, radio.checked] = ['radio', 'policy', policy, isChosen];
    radio.addEventListener('change', () => this.onChoose(policy));
    const label = element('label', 'policy');
    label.title = POLICIES[policy];
    label.append(radio, policy);
    const name = element('td');
    name.append(label);
    const bars = element('td', 'bar-column');
    bars.append(bar(report, budget, largest));
    const number = (text: string, kind = ''): HTMLElement => element('td', `number ${kind}`, text);
    const setBy = element('td', 'wide name');
    if (floorLayer) {
      const link = element('button', 'link', floorLayer);
      link.type = 'button';
      link.title = `Show ${floorLayer} in the model`;
      link.addEventListener('click', () => this.onReveal(floorLayer));
      setBy.append(link);
    }
    row.append(
      name,
      bars,
      number(feasible ? formatBytes(report.poolBytes ?? 0) : 'does not fit'),
      number(feasible ? formatBytes(report.peakBytes ?? 0) : '', 'wide'),
      number(feasible ? formatBytes(report.trafficBytes ?? 0) : ''),
      number(feasible ? String(report.recomputations ?? 0) : '', 'wide'),
      number(feasible ? formatPercent(report.extraFraction ?? 0) : ''),
      number(formatBytes(floorBytes)),
      setBy,
    );
    row.addEventListener('click', (event) => {
      if (event.target instanceof HTMLElement && event.target.closest('button, label')) return;
      this.onChoose(policy);
    });
    return row;
  }
}

/** The pool as a bar up to the largest of all, with the least budget and the budget as marks. */
function bar({ feasible, poolBytes = 0, floorBytes }: PolicyReport, budget: number | undefined, largest: number): HTMLElement {
  const part = (bytes: number): string => `${(100 * bytes) / Math.max(1, largest)}%`;
  const track = element('div', 'track');
  const fill = element('div', 'fill');
  fill.style.width = part(feasible ? poolBytes : floorBytes);
  const floor = element('div', 'mark least');
  floor.style.left = part(floorBytes);
  track.append(fill, floor);
  if (budget !== undefined) {
    const mark = element('div', 'mark wanted');
    mark.style.left = part(budget);
    track.append(mark);
  }
  return track;
}

import { max } from 'd3';
import { formatChange, formatPercent } from '../../engine/contract/format';
import type { GroupImportance } from '../../engine/contract/models';
import type { SensitivityReport } from '../../engine/contract/pruning';
import { element, setText } from '../shared/elements';
import { FilterBars } from './filterBars';

type Curve = SensitivityReport['groups'][number]['points'];

export interface CardEvents {
  /** The pointer or the focus is on a group, or on none. */
  onHighlight(group: string | undefined): void;
  onLock(group: string, locked: boolean): void;
  onExplain(group: string): void;
  /** The pointer is over a filter, given by its place in the order of the group. */
  onFilter(card: GroupCard, place: number | undefined, x: number): void;
}

/** One group: its filters as bars, how much of it goes, its lock, and its sensitivity curve once that is measured. */
export class GroupCard {
  readonly element = element('article', 'group-card');
  private readonly bars: FilterBars;
  private readonly count = element('span', 'group-count');
  private readonly lock = element('button', 'lock');
  private readonly loss = element('span', 'group-loss');
  private points: Curve = [];
  private cut = -1;

  /** @param channels in the order of importance */
  constructor(
    readonly group: GroupImportance,
    readonly channels: Int32Array,
    height: (score: number) => number,
    events: CardEvents,
  ) {
    const { id, scores, layers } = group;
    this.bars = new FilterBars(
      [...channels].map((c) => scores[c] ?? 0),
      height,
    );
    const name = element('button', 'group-name', id);
    name.type = this.lock.type = 'button';
    name.title = `${layers.join('\n')}\nShow why they belong together`;
    const more = element('span', 'group-layers', layers.length > 1 ? `+${layers.length - 1}` : '');
    const head = element('header');
    head.append(name, more, this.lock);
    const plot = element('div', 'plot');
    plot.append(this.bars.element);
    const foot = element('footer');
    foot.append(this.count, this.loss);
    this.element.append(head, plot, foot);
    this.element.dataset.group = id;
    name.addEventListener('click', () => events.onExplain(id));
    this.lock.addEventListener('click', () => events.onLock(id, this.lock.getAttribute('aria-pressed') !== 'true'));
    for (const start of ['pointerenter', 'focusin']) this.element.addEventListener(start, () => events.onHighlight(id));
    for (const end of ['pointerleave', 'focusout']) this.element.addEventListener(end, () => events.onHighlight(undefined));
    plot.addEventListener('pointermove', (event) => {
      const { left, width } = plot.getBoundingClientRect();
      events.onFilter(this, this.bars.at((event.clientX - left) / width), event.clientX);
    });
    plot.addEventListener('pointerleave', () => events.onFilter(this, undefined, 0));
  }

  /** Shows the first `cut` filters of the order as cut; `rest` follows when the threshold has come to rest. */
  show(cut: number): void {
    if (cut === this.cut) return;
    this.cut = cut;
    const all = this.channels.length;
    this.bars.show(cut);
    setText(this.count, cut > 0 ? `${all - cut} of ${all} left` : `${all} filters`);
    this.showLoss();
  }

  /** Tells screen readers where the threshold came to rest. */
  rest(cut: number): void {
    this.show(cut);
    this.bars.describe(`${this.group.id}: ${cut} of ${this.channels.length} filters would be cut`);
  }

  setLocked(isLocked: boolean): void {
    this.lock.setAttribute('aria-pressed', String(isLocked));
    this.lock.textContent = isLocked ? 'locked' : 'lock';
    this.lock.title = isLocked ? 'Keeps all its filters; click to unlock' : 'Keep all filters of this group';
    this.element.classList.toggle('is-locked', isLocked);
  }

  setHighlighted(isHighlighted: boolean): void {
    this.element.classList.toggle('highlighted', isHighlighted);
  }

  /** The loss when the least important filters of this group alone go, in the range of all groups. */
  setSensitivity(points: Curve, whole: number, largest: number): void {
    this.points = points.length > 0 ? [{ fraction: 0, loss: whole, accuracy: NaN }, ...points] : [];
    const height = (loss: number): number => (Math.min(loss, largest) - whole) / Math.max(1e-9, largest - whole);
    this.bars.showCurve(this.points.map((p) => [p.fraction, Math.max(0, height(p.loss))]));
    this.showLoss();
  }

  private showLoss(): void {
    const [first] = this.points;
    const text = first && this.cut > 0 ? `loss ${formatChange(this.lossAt(this.cut / this.channels.length) - first.loss)} alone` : '';
    setText(this.loss, text);
  }

  private lossAt(fraction: number): number {
    const { points } = this;
    const next = points.findIndex((p) => p.fraction >= fraction);
    const [a, b] = [points[Math.max(0, next - 1)], points[next] ?? points.at(-1)];
    if (!a || !b) return NaN;
    const t = b.fraction > a.fraction ? (fraction - a.fraction) / (b.fraction - a.fraction) : 0;
    return a.loss + Math.min(1, t) * (b.loss - a.loss);
  }
}

/** Largest loss of the curves that is still drawn apart: a few groups that fall to pieces would flatten all others. */
export const lossRange = ({ groups, loss }: SensitivityReport): number =>
  Math.min(max(groups, (g) => max(g.points, (p) => p.loss)) ?? loss, Math.max(loss * 4, loss + 2.5));

export const describeFilter = (
  { group, channels }: GroupCard,
  place: number,
  cut: number,
): { title: string; rows: { name: string; value: string }[] } => {
  const channel = channels[place] ?? 0;
  return {
    title: `${group.id}, filter ${channel}`,
    rows: [
      { name: 'score', value: (group.scores[channel] ?? 0).toPrecision(3) },
      { name: 'in its group', value: `lowest ${formatPercent((place + 1) / channels.length, 0)}` },
      { name: 'threshold', value: place < cut ? 'cut' : 'kept' },
    ],
  };
};

import type { ImportanceReport } from '../../engine/contract/models';
import type { SensitivityReport } from '../../engine/contract/pruning';
import { Tooltip } from '../shared/chart';
import { element } from '../shared/elements';
import { heightScale } from './filterBars';
import { GroupCard, type CardEvents, describeFilter, lossRange } from './groupCard';
import type { Threshold } from './threshold';

/** Small multiples: a card for every group, drawn on one scale. */
export class GroupsView {
  readonly element = element('div', 'group-cards');
  private cards: GroupCard[] = [];
  private threshold: Threshold | undefined;
  private report: ImportanceReport | undefined;
  private readonly tooltip: Tooltip;

  constructor(private readonly events: Omit<CardEvents, 'onFilter'>) {
    this.tooltip = new Tooltip(this.element);
  }

  show(threshold: Threshold, locked: ReadonlySet<string>, sensitivity: SensitivityReport | undefined): void {
    this.threshold = threshold;
    if (this.report !== threshold.report) this.build(threshold);
    const curves = new Map(sensitivity?.groups.map((g) => [g.id, g.points]));
    const largest = sensitivity ? lossRange(sensitivity) : 0;
    for (const [i, card] of this.cards.entries()) {
      card.setLocked(locked.has(card.group.id));
      card.setSensitivity(curves.get(card.group.id) ?? [], sensitivity?.loss ?? 0, largest);
      card.show(threshold.cutOf(i));
    }
  }

  /** Brings the cards of these groups in step with the threshold. */
  follow(changed: Iterable<number>): void {
    for (const group of changed) this.cards[group]?.show(this.threshold?.cutOf(group) ?? 0);
  }

  highlight(group: string | undefined): void {
    for (const card of this.cards) card.setHighlighted(card.group.id === group);
  }

  private build(threshold: Threshold): void {
    this.report = threshold.report;
    const height = heightScale(threshold.scores);
    const events: CardEvents = { ...this.events, onFilter: (card, place, x) => this.showFilter(card, place, x) };
    this.cards.forEach((card) => card.element.remove());
    this.cards = threshold.report.groups.map((group, i) => new GroupCard(group, threshold.channels[i] ?? new Int32Array(), height, events));
    this.element.append(...this.cards.map((card) => card.element));
  }

  private showFilter(card: GroupCard, place: number | undefined, clientX: number): void {
    if (place === undefined) return this.tooltip.hide();
    const cut = this.threshold?.cutOf(this.cards.indexOf(card)) ?? 0;
    const { title, rows } = describeFilter(card, place, cut);
    const host = this.element.getBoundingClientRect();
    this.tooltip.show(clientX - host.left, card.element.offsetTop + card.element.offsetHeight / 2, title, rows);
  }
}

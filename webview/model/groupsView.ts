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
  /** Cards in sight: fewer than those that `content-visibility` renders. */
  private readonly seen = new Set<Element>();
  /** Groups whose cards have not been told where the threshold is. */
  private readonly behind = new Set<number>();
  private readonly sight = new IntersectionObserver((entries) => this.see(entries));

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
      card.rest(threshold.cutOf(i));
    }
    this.behind.clear();
  }

  /** Brings the cards of these groups in step with the threshold; those out of sight when it has come to rest. */
  follow(changed: Iterable<number>): void {
    for (const group of changed) {
      const card = this.cards[group];
      this.behind.add(group);
      if (card && this.seen.has(card.element)) card.show(this.threshold?.cutOf(group) ?? 0);
    }
  }

  rest(): void {
    for (const group of this.behind) this.cards[group]?.rest(this.threshold?.cutOf(group) ?? 0);
    this.behind.clear();
  }

  highlight(group: string | undefined): void {
    for (const card of this.cards) card.setHighlighted(card.group.id === group);
  }

  private see(changed: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of changed) {
      if (isIntersecting) this.seen.add(target);
      else this.seen.delete(target);
    }
    this.follow([...this.behind]);
  }

  private build(threshold: Threshold): void {
    this.report = threshold.report;
    const height = heightScale(threshold.scores);
    const events: CardEvents = { ...this.events, onFilter: (card, place, x) => this.showFilter(card, place, x) };
    this.sight.disconnect();
    this.seen.clear();
    this.cards.forEach((card) => card.element.remove());
    this.cards = threshold.report.groups.map((group, i) => new GroupCard(group, threshold.channels[i] ?? new Int32Array(), height, events));
    this.element.append(...this.cards.map((card) => card.element));
    this.cards.forEach((card) => this.sight.observe(card.element));
  }

  private showFilter(card: GroupCard, place: number | undefined, clientX: number): void {
    if (place === undefined) return this.tooltip.hide();
    const cut = this.threshold?.cutOf(this.cards.indexOf(card)) ?? 0;
    const { title, rows } = describeFilter(card, place, cut);
    const host = this.element.getBoundingClientRect();
    this.tooltip.show(clientX - host.left, card.element.offsetTop + card.element.offsetHeight / 2, title, rows);
  }
}

import type { ImportanceReport, ModelSummary } from '../../engine/contract/models';
import { formatChange, formatCount, formatPercent } from '../../engine/contract/format';
import type { PruneBudget } from '../../engine/contract/protocol';
import { control, dropdown, numberIn, textField } from '../controls/controls';
import { type Figure, Figures, element, labelled } from '../shared/elements';
import type { Estimate, Threshold } from './threshold';

type Kind = 'flops' | 'params' | 'filters';
const KINDS: readonly (readonly [Kind, string])[] = [
  ['flops', 'MACs, %'],
  ['params', 'Parameters, %'],
  ['filters', 'Filters'],
];

export interface Effect {
  readonly threshold: Threshold;
  readonly summary: ModelSummary;
  readonly totals: Estimate;
  readonly isExact: boolean;
}

/** What the cut at the threshold would do, and a budget that the threshold follows. */
export class EffectView {
  readonly element = element('div', 'effect');
  private readonly shown = element('div', 'effect-figures');
  private figures: Figures | undefined;
  private readonly kind = dropdown('budget-kind', 'Budget', KINDS);
  private readonly amount = textField('budget', 'Amount to keep', '', 5);
  private readonly apply = control('vscode-button', { id: 'apply' }, 'Apply cut');
  private last: Effect | undefined;
  /** The amount was typed and not yet found. */
  private isTyped = false;

  constructor(events: { onApply(): void; onBudget(budget: PruneBudget): void; onError(message: string): void }) {
    this.apply.addEventListener('click', () => events.onApply());
    this.kind.addEventListener('change', () => this.showAmount());
    this.amount.addEventListener('input', () => (this.isTyped = true));
    this.amount.addEventListener('change', () => {
      if (!this.isTyped) return;
      this.isTyped = false;
      try {
        events.onBudget(this.budget());
      } catch (error) {
        events.onError(error instanceof Error ? error.message : String(error));
      }
    });
    const keep = element('div', 'fields budget');
    keep.append(labelled('Keep', this.kind), labelled('Amount', this.amount), this.apply);
    this.element.append(this.shown, keep);
  }

  /** Shows the figures; `rest` follows when the threshold has come to rest. */
  show(effect: Effect): void {
    this.last = effect;
    const isWhole = effect.threshold.removed === 0;
    if (this.apply.disabled !== isWhole) this.apply.disabled = isWhole;
    const shown = figuresOf(effect);
    if (this.figures) return this.figures.show(shown);
    this.figures = new Figures(shown, 'small');
    this.shown.append(this.figures.element);
  }

  /** Brings the budget in step with the figures: its field costs more than these. */
  rest(): void {
    if (!this.isTyped) this.showAmount();
  }

  private showAmount(): void {
    if (!this.last) return;
    const { threshold, totals, summary } = this.last;
    const amounts: Record<Kind, string> = {
      flops: ((100 * totals.macs) / Math.max(1, summary.totals.macs)).toFixed(1),
      params: ((100 * totals.parameters) / Math.max(1, summary.totals.parameters)).toFixed(1),
      filters: String(threshold.length - threshold.removed),
    };
    this.amount.value = amounts[this.kind.value as Kind];
  }

  private budget(): PruneBudget {
    const kind = this.kind.value as Kind;
    const amount = numberIn(this.amount.value, 'Amount');
    if (!(amount > 0)) throw new Error(`Amount: ${this.amount.value} is not above zero`);
    return { [kind]: kind === 'filters' ? amount : amount / 100 };
  }
}

export const predictsLoss = (report: ImportanceReport): boolean => report.groups.some((g) => g.lossChange);

function figuresOf({ threshold, summary, totals, isExact }: Effect): Figure[] {
  const part = (key: 'macs' | 'parameters') => ({
    value: formatPercent(totals[key] / Math.max(1, summary.totals[key])),
    detail: formatCount(totals[key]),
    isEstimate: !isExact,
  });
  const hasLoss = predictsLoss(threshold.report);
  return [
    { id: 'cut-filters', name: 'Filters cut', value: String(threshold.removed), detail: `of ${threshold.length}` },
    { id: 'cut-macs', name: 'MACs left', ...part('macs') },
    { id: 'cut-parameters', name: 'Parameters left', ...part('parameters') },
    {
      id: 'cut-loss',
      name: 'Predicted loss change',
      value: hasLoss ? formatChange(threshold.lossChange) : '–',
      detail: hasLoss ? `first order, loss ${threshold.report.loss?.toFixed(3) ?? ''}` : 'gate Taylor only',
    },
  ];
}

import { formatCount, formatPercent } from '../../engine/contract/format';
import { formatRatio } from '../../engine/contract/rankChoices';
import type { BudgetForms, BudgetWish, RanksPageContract } from '../../engine/contract/ranksPage';
import { control, dropdown, numberIn, textField } from '../controls/controls';
import { type Figure, Notice, element, figures, labelled } from '../shared/elements';
import { type Host, messageOf } from '../shared/host';
import { modesText, ranksText } from './forms';

const ABOUT =
  'Every layer gets the form that costs the least loss for what it saves: estimated from gradients on training data, then measured on the held-out split. Forms that the plan has are chosen anew.';

/** One budget for all layers: forms found together, shown with their effect, applied together. */
export class NetworkBudgetView {
  readonly element = element('section', 'network-budget');
  readonly notice = new Notice();
  isBusy = false;
  private readonly data = control('vscode-text-field', {
    id: 'budget-data',
    'aria-label': 'Labelled data',
    placeholder: 'Folder, .npz or generated:shapes?…',
    size: '36',
  });
  private readonly kept = textField('budget-kept', 'Percent kept', '50', 6);
  private readonly unit = dropdown('budget-unit', 'Of what', [
    ['params', '% of the parameters'],
    ['macs', '% of the MACs'],
  ]);
  private readonly find = control('vscode-button', { id: 'find-forms' }, 'Find forms');
  private readonly stop = control('vscode-button', { id: 'cancel-forms', appearance: 'secondary' }, 'Cancel');
  private readonly apply = control('vscode-button', { id: 'apply-forms' }, 'Apply all');
  private readonly result = element('div', 'budget-result');

  constructor(
    private readonly host: Host<RanksPageContract>,
    private readonly page: { choose(layer: string): void; updateButtons(): void },
  ) {
    const fields = element('div', 'fields');
    fields.append(labelled('Data', this.data), labelled('Keep', this.kept), labelled('Of', this.unit), this.find, this.stop, this.apply);
    this.element.append(element('h2', '', 'One budget for the network'), element('p', 'note', ABOUT), fields, this.notice.element, this.result); // prettier-ignore
    this.find.addEventListener('click', () => void this.search());
    this.stop.addEventListener('click', () => void host.request('cancel', null));
    this.apply.addEventListener('click', () => void this.applyForms());
    this.apply.hidden = this.stop.hidden = true;
  }

  /** Nothing can be started while the page is at work on a layer. */
  block(isBlocked: boolean): void {
    this.find.disabled = this.apply.disabled = isBlocked || this.isBusy;
    this.stop.hidden = !this.isBusy;
  }

  /** Data to begin with, where none was typed. */
  suggestData(data: string): void {
    if (this.data.value === '') this.data.value = data;
  }

  private search(): Promise<void> {
    return this.busy('Looking for forms', async () => {
      this.result.replaceChildren();
      this.apply.hidden = true;
      const found = await this.host.request('budget', this.read());
      if (!found) return 'Cancelled.';
      this.show(found);
      this.apply.hidden = false;
      return '';
    });
  }

  private applyForms(): Promise<void> {
    return this.busy('Putting the forms into the plan', async () => {
      await this.host.request('applyBudget', null);
      this.apply.hidden = true;
      return 'The forms are in the plan now. One Undo takes all of them back.';
    });
  }

  /** What the fields say; the error names the field. */
  private read(): BudgetWish {
    const data = this.data.value.trim();
    if (!data) throw new Error('Data: say where the labelled data is (a folder, an .npz or generated:shapes?…)');
    const kept = numberIn(this.kept.value, 'Keep');
    if (!(kept > 0 && kept < 100)) throw new Error(`Keep: ${kept} must be above 0 and below 100`);
    return { data, unit: this.unit.value === 'macs' ? 'macs' : 'params', kept: kept / 100 };
  }

  private show({ layers, before, after, lossChange }: BudgetForms): void {
    const shown: Figure[] = [
      { name: 'Parameters', ...changed(before.parameters, after.parameters) },
      { name: 'MACs', ...changed(before.macs, after.macs) },
      { name: 'Accuracy', value: formatPercent(after.accuracy), detail: `was ${formatPercent(before.accuracy)}` },
      { name: 'Loss', value: after.loss.toFixed(3), detail: `was ${before.loss.toFixed(3)}; ${signed(lossChange)} estimated` },
    ];
    const table = element('table');
    const head = element('tr');
    for (const [name, kind] of [['Layer', ''], ['Form', ''], ['Parameters', 'number'], ['Fewer', 'number'], ['Error', 'number'], ['Loss, estimated', 'number']] as const) head.append(element('th', kind, name)); // prettier-ignore
    table.append(element('thead'), element('tbody'));
    table.tHead?.append(head);
    for (const layer of layers) table.tBodies[0]?.append(this.row(layer));
    const wrapper = element('div', 'comparison-table');
    wrapper.append(table);
    this.result.replaceChildren(figures(shown), wrapper);
  }

  private row({ layer, choice, error, parameters, denseParameters, lossChange }: BudgetForms['layers'][number]): HTMLElement {
    const row = element('tr');
    row.dataset.layer = layer;
    const name = element('td', 'name');
    const link = element('button', 'link', layer);
    link.type = 'button';
    link.addEventListener('click', () => this.page.choose(layer));
    name.append(link);
    const blocks = `${choice.blocks} ${choice.blocks === 1 ? 'block' : 'blocks'}`;
    row.append(
      name,
      element('td', '', `${modesText(choice)}, rank ${ranksText(choice.ranks)}, ${blocks}`),
      element('td', 'number', formatCount(parameters)),
      element('td', 'number', `${formatRatio(denseParameters / parameters)}×`),
      element('td', 'number', formatPercent(error)),
      element('td', 'number', signed(lossChange)),
    );
    return row;
  }

  private async busy(message: string, work: () => Promise<string>): Promise<void> {
    this.isBusy = true;
    this.page.updateButtons();
    this.notice.show(message);
    try {
      this.notice.show(await work());
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    } finally {
      this.isBusy = false;
      this.page.updateButtons();
    }
  }
}

const changed = (before: number, after: number): Pick<Figure, 'value' | 'detail'> => ({
  value: formatCount(after),
  detail: `${formatPercent(after / before)} of ${formatCount(before)}`,
});

const signed = (change: number): string => `${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(3)}`;

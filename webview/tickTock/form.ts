import type { NoiseMethod, NoiseOptions } from '../../engine/contract/noise';
import type { PruneBudget } from '../../engine/contract/protocol';
import type { TickTockSettings } from '../../engine/contract/tickTock';
import type { TickTockForm } from '../../engine/contract/tickTockPage';
import { checkbox, control, dropdown, numberIn, textField } from '../controls/controls';
import { element, labelled } from '../shared/elements';
import { NOISE_METHODS } from '../shared/noiseMethods';

type BudgetKind = keyof PruneBudget;

/** Kinds of budget: name, unit, what a number in the unit is divided by, and a number to begin with. */
const BUDGETS: readonly (readonly [BudgetKind, string, string, number, string])[] = [
  ['flops', 'MACs kept', '%', 100, '50'],
  ['params', 'Parameters kept', '%', 100, '50'],
  ['filters', 'Channels kept', 'channels', 1, '100'],
  ['latency', 'Latency of one sample', 'ms', 1, '1'],
];

/** The settings that matter most; all others come from a file. */
const FIELDS: readonly (readonly [string, string, number, string])[] = [
  ['filtersPerTick', 'Cut per Tick, %', 100, 'Part of the filters left that each Tick removes'],
  ['tickData', 'Data per Tick, %', 100, 'Part of the training data that a Tick looks at'],
  ['ticksPerTock', 'Ticks per Tock', 1, 'Ticks between two Tocks'],
  ['tockEpochs', 'Epochs per Tock', 1, 'Passes over the data in a Tock'],
  ['finetuneEpochs', 'Fine-tuning epochs', 1, 'Once the budget is met'],
  ['finalEpochs', 'Final epochs', 1, 'At the low rate, after the fine-tuning'],
  ['batch', 'Batch', 1, 'Samples in a step'],
  [
    'teacherWeight',
    'Learn from teacher, %',
    100,
    'Part of the loss of Tocks and fine-tuning that learns the outputs of a teacher instead of the labels',
  ],
];

const QUICK: TickTockSettings = {
  filtersPerTick: 0.05,
  tickData: 0.25,
  ticksPerTock: 5,
  tockEpochs: 1,
  initialTock: false,
  finetuneEpochs: 3,
  finalEpochs: 1,
  batch: 64,
};

const fromPlan = 'plan';

/** What is set before a run. */
export class FormView {
  readonly element = element('div', 'form');
  private settings: TickTockSettings = {};
  private paper: TickTockSettings = {};
  private planned: NoiseOptions | undefined;
  private readonly data = control('vscode-text-field', {
    id: 'data',
    'aria-label': 'Labelled data',
    placeholder: 'Folder, .npz or generated:shapes?…',
  });
  private readonly output = textField('output', 'Output file', '', 28);
  private readonly teacher = control('vscode-text-field', {
    id: 'teacher',
    'aria-label': 'Teacher',
    placeholder: 'The network before pruning',
  });
  private readonly kind = dropdown('budget-kind', 'Budget', BUDGETS);
  private readonly amount = textField('budget', 'Amount of the budget', '50', 6);
  private readonly unit = element('span', 'unit');
  private readonly schedule = dropdown('schedule', 'Schedule', [
    ['paper', 'As in the paper'],
    ['quick', 'Quick look'],
    ['own', 'My own'],
  ]);
  private readonly source = element('span', 'settings-source');
  private readonly fields = new Map(FIELDS.map(([key, label]) => [key, textField(key, label, '', 6)]));
  private readonly noise = element('span', 'noise-choice');
  private noiseChoice = dropdown('noise', 'Noise while training', [['none', 'None']]);
  private readonly keep = checkbox('keep-ticks', 'Keep the network of every Tick, to choose an earlier one afterwards');

  constructor(requests: { chooseSettings(): void; writeSettings(): void }) {
    const choose = control('vscode-button', { id: 'choose-settings', appearance: 'secondary' }, 'Settings file…');
    const write = control('vscode-button', { id: 'write-settings', appearance: 'secondary' }, 'All settings');
    choose.addEventListener('click', () => requests.chooseSettings());
    write.addEventListener('click', () => requests.writeSettings());
    this.kind.addEventListener('change', () => this.showBudget(BUDGETS.find(([k]) => k === this.kind.value)?.[4] ?? ''));
    this.schedule.addEventListener('change', () => this.chooseSchedule());
    const amount = element('span', 'amount');
    amount.append(this.amount, this.unit);
    const small = FIELDS.map(([key, label, , about]) => {
      const field = this.fields.get(key) as HTMLElement;
      field.addEventListener('input', () => (this.schedule.value = 'own'));
      const wrapped = labelled(label, field);
      wrapped.title = about;
      return wrapped;
    });
    this.element.append(
      row(labelled('Data', this.data), labelled('Budget', this.kind), labelled('Amount', amount), labelled('Output', this.output)),
      row(labelled('Schedule', this.schedule), ...small),
      row(labelled('Teacher', this.teacher), labelled('Noise while training', this.noise), choose, write, this.source),
      this.keep,
    );
  }

  show(form: TickTockForm, paper: TickTockSettings): void {
    this.paper = paper;
    this.planned = form.noise;
    this.data.value = form.data;
    this.output.value = form.output;
    this.teacher.value = form.teacher ?? '';
    this.keep.checked = form.keepTicks;
    const [kind, , , divisor] = BUDGETS.find(([k]) => form.budget[k] !== undefined) ?? BUDGETS[0] ?? (['flops', '', '', 100] as const);
    this.kind.value = kind;
    this.showBudget(String(Number(((form.budget[kind] ?? 0.5) * divisor).toPrecision(6))));
    this.showSettings(form.settings, JSON.stringify(form.settings) === JSON.stringify(paper) ? 'paper' : 'own');
    this.noiseChoice = dropdown('noise', 'Noise while training', [
      ...(form.noise ? [[fromPlan, `As planned: ${form.noise.method}`] as const] : []),
      ['none', 'None'],
      ...NOISE_METHODS,
    ]);
    this.noise.replaceChildren(this.noiseChoice);
  }

  showFile(name: string, settings: TickTockSettings): void {
    this.showSettings(settings, 'own');
    this.source.textContent = `Settings of ${name}`;
  }

  /** What the fields say; the error names the field. */
  read(): TickTockForm {
    const [kind, label, , divisor] = BUDGETS.find(([k]) => k === this.kind.value) ?? BUDGETS[0] ?? (['flops', '', '', 100] as const);
    const own = FIELDS.map(([key, name, scale]) => [key, numberIn(this.fields.get(key)?.value ?? '', name) / scale] as const);
    const noise = this.chosenNoise;
    const data = this.data.value.trim();
    if (!data) throw new Error('Data: say where the labelled data is (a folder, an .npz or generated:shapes?…)');
    const settings: TickTockSettings = { ...this.settings, ...Object.fromEntries(own) };
    const teacher = this.teacher.value.trim();
    if (teacher && !settings.teacherWeight) throw new Error('Learn from teacher, %: a teacher needs a part of the loss above 0 %');
    return {
      data,
      output: this.output.value.trim(),
      budget: { [kind]: numberIn(this.amount.value, label) / divisor },
      settings,
      keepTicks: this.keep.checked,
      ...(teacher ? { teacher } : {}),
      ...(noise ? { noise } : {}),
    };
  }

  private get chosenNoise(): NoiseOptions | undefined {
    const { value } = this.noiseChoice;
    if (value === fromPlan) return this.planned;
    const strength = NOISE_METHODS.find(([method]) => method === value)?.[2];
    return strength === undefined ? undefined : { method: value as NoiseMethod, epsilon: Number(strength) };
  }

  private showBudget(amount: string): void {
    this.amount.value = amount;
    this.unit.textContent = BUDGETS.find(([k]) => k === this.kind.value)?.[2] ?? '';
  }

  private chooseSchedule(): void {
    const { value } = this.schedule;
    this.source.textContent = '';
    if (value === 'paper') this.showSettings(this.paper, 'paper');
    if (value === 'quick') this.showSettings({ ...this.paper, ...QUICK }, 'quick');
  }

  private showSettings(settings: TickTockSettings, schedule: string): void {
    this.settings = settings;
    this.schedule.value = schedule;
    for (const [key, , scale] of FIELDS) {
      const field = this.fields.get(key);
      if (field) field.value = String(Number((Number(settings[key]) * scale).toPrecision(6)));
    }
  }
}

function row(...fields: HTMLElement[]): HTMLElement {
  const made = element('div', 'fields');
  made.append(...fields);
  return made;
}

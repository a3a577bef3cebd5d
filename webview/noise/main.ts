import { formatPercent } from '../../engine/contract/format';
import type { NoiseMethod, NoiseOptions } from '../../engine/contract/noise';
import type { NoisePageContract, NoisePageState, RobustnessCurve } from '../../engine/contract/noisePage';
import type { Attack, AttackNorm } from '../../engine/contract/robustness';
import { control, dropdown, numberIn, registerControls, textField } from '../controls/controls';
import { Notice, element, labelled, titleBlock } from '../shared/elements';
import { connectHost, messageOf } from '../shared/host';
import { LineChart, type Series } from '../shared/lineChart';
import { NOISE_METHODS } from '../shared/noiseMethods';
import { drawFeatureMaps } from './featureView';
import { LayerChoice } from './layerChoice';
import './noise.css';

const ATTACKS: readonly (readonly [Attack, string])[] = [
  ['fgsm', 'FGSM'],
  ['ifgsm', 'I-FGSM'],
  ['pgd', 'PGD'],
  ['random', 'Random noise'],
];
const NORMS: readonly (readonly [AttackNorm, string])[] = [
  ['linf', 'L∞'],
  ['l2', 'L2'],
];
/** More layers than this make the live chart a tangle; the strongest are shown. */
const MOST_CURVES = 6;

type Step = NoisePageContract['events']['step'];

const host = connectHost<NoisePageContract>();

class NoisePage {
  private state: NoisePageState | undefined;
  private steps: Step[] = [];
  private readonly header = element('header', 'overview');
  private readonly notice = new Notice();
  private readonly method = dropdown('method', 'Noise', NOISE_METHODS);
  private readonly epsilon = textField('epsilon', 'Strength', '0.05');
  private readonly data = control('vscode-text-field', {
    id: 'data',
    'aria-label': 'Labelled data',
    placeholder: 'Folder, .npz or generated:shapes?…',
  });
  private readonly epochs = textField('epochs', 'Epochs', '2');
  private readonly layers = new LayerChoice(() => this.showLayerNames());
  private readonly plan = control('vscode-button', { id: 'plan', appearance: 'secondary' }, 'Put into the plan');
  private readonly train = control('vscode-button', { id: 'train' }, 'Tune a copy');
  private readonly stop = control('vscode-button', { id: 'cancel', appearance: 'secondary' }, 'Cancel');
  private readonly attack = dropdown('attack', 'Attack', ATTACKS);
  private readonly norm = dropdown('norm', 'Norm', NORMS);
  private readonly epsilons = textField('epsilons', 'Radii', '0.01,0.02,0.04,0.08');
  private readonly samples = textField('samples', 'Test images', '200');
  private readonly measure = control('vscode-button', { id: 'measure' }, 'Measure');
  private readonly warnings = element('ul', 'warnings');
  private readonly layer = control('vscode-dropdown', { id: 'layer', 'aria-label': 'Layer' });
  private readonly sample = textField('sample', 'Test image', '0');
  private readonly show = control('vscode-button', { id: 'show' }, 'Show');
  private readonly maps = element('div', 'all-maps');
  private readonly magnitudes: LineChart;
  private readonly curves: LineChart;
  private readonly chartHosts = { noise: element('div', 'noise-chart'), curves: element('div', 'robustness-chart') };

  constructor(private readonly root: HTMLElement) {
    this.root.append(this.header, this.noiseSection(), this.robustnessSection(), this.featureSection());
    this.magnitudes = new LineChart(this.chartHosts.noise, {
      label: 'Noise of each layer',
      xLabel: 'step',
      yLabel: 'noise, root mean square',
    });
    this.curves = new LineChart(this.chartHosts.curves, {
      label: 'Accuracy against the radius of the attack',
      xLabel: 'radius',
      yLabel: 'accuracy',
      yDomain: [0, 1],
      formatY: (v) => `${Number((100 * v).toFixed(1))} %`,
    });
    this.chartHosts.noise.hidden = this.chartHosts.curves.hidden = true;
    this.stop.hidden = true;
    host.on('state', (state) => this.showState(state));
    host.on('progress', ({ message }) => this.notice.show(message));
    host.on('step', (step) => this.showStep(step));
    host.ready();
  }

  private noiseSection(): HTMLElement {
    const section = element('section');
    const fields = element('div', 'fields');
    fields.append(
      labelled('Noise', this.method),
      labelled('Strength', this.epsilon),
      labelled('Data', this.data),
      labelled('Epochs', this.epochs),
      this.train,
      this.plan,
      this.stop,
    );
    this.method.addEventListener('change', () => this.chooseMethod());
    this.train.addEventListener('click', () => void this.startTraining());
    this.plan.addEventListener('click', () => void this.togglePlan());
    this.stop.addEventListener('click', () => void host.request('cancel', null));
    section.append(element('h2', '', 'Noise while training'), fields, this.layers.element, this.notice.element, this.chartHosts.noise);
    return section;
  }

  private robustnessSection(): HTMLElement {
    const section = element('section');
    const fields = element('div', 'fields');
    fields.append(
      labelled('Attack', this.attack),
      labelled('Norm', this.norm),
      labelled('Radii, in the data’s units', this.epsilons),
      labelled('Test images', this.samples),
      this.measure,
    );
    this.measure.addEventListener('click', () => void this.startAttack());
    section.append(element('h2', '', 'Accuracy under attack'), fields, this.chartHosts.curves, this.warnings);
    return section;
  }

  private featureSection(): HTMLElement {
    const section = element('section');
    const fields = element('div', 'fields');
    fields.append(labelled('Layer', this.layer), labelled('Test image', this.sample), this.show);
    this.show.addEventListener('click', () => void this.showFeatures());
    section.append(element('h2', '', 'Feature maps with and without noise'), fields, this.maps);
    return section;
  }

  private showState(state: NoisePageState): void {
    const first = !this.state;
    this.state = state;
    this.root.setAttribute('aria-busy', 'false');
    const noisy = state.planned ? `The plan trains with ${state.planned.method}` : 'No noise in the plan';
    this.header.replaceChildren(titleBlock(state.file, `${noisy} · ${state.layers.filter((l) => l.isAutomatic).length} places for noise`));
    this.plan.textContent = state.planned ? 'Take out of the plan' : 'Put into the plan';
    if (first || state.planned) {
      this.method.value = state.planned?.method ?? 'anl';
      this.epsilon.value = String(state.planned?.epsilon ?? this.defaultEpsilon);
      this.layers.show(state.layers, state.planned?.layers);
      this.showLayerNames();
    }
    if (!this.data.value) this.data.value = state.data;
    this.layers.disabled = this.method.value === 'adversarial';
  }

  private showLayerNames(): void {
    const before = this.layer.value;
    this.layer.replaceChildren(...this.layers.chosen.map((name) => control('vscode-option', { value: name }, name)));
    if (this.layers.chosen.includes(before)) this.layer.value = before;
  }

  private get defaultEpsilon(): string {
    return NOISE_METHODS.find(([method]) => method === this.method.value)?.[2] ?? '0.05';
  }

  private chooseMethod(): void {
    this.epsilon.value = this.defaultEpsilon;
    this.layers.disabled = this.method.value === 'adversarial';
  }

  private get noise(): NoiseOptions {
    const method = this.method.value as NoiseMethod;
    const layers = method === 'adversarial' ? undefined : this.layers.named;
    return { method, epsilon: numberIn(this.epsilon.value, 'Strength'), ...(layers ? { layers } : {}) };
  }

  private showStep(step: Step): void {
    this.steps.push(step);
    this.notice.show(`Step ${step.step} of ${step.total}, loss ${step.loss.toFixed(3)}`);
    const strongest = Object.entries(step.noise)
      .sort((a, b) => b[1] - a[1])
      .slice(0, MOST_CURVES)
      .map(([layer]) => layer);
    const shown = Object.keys(step.noise).filter((layer) => strongest.includes(layer));
    this.chartHosts.noise.hidden = false;
    this.magnitudes.show(shown.map((name): Series => ({ name, points: this.steps.map((s) => [s.step, s.noise[name] ?? 0]) })));
  }

  private startTraining(): Promise<void> {
    return this.busy(async () => {
      this.steps = [];
      const request = { noise: this.noise, data: this.data.value.trim(), epochs: numberIn(this.epochs.value, 'Epochs') };
      const result = await host.request('train', request);
      return result ? `Wrote ${result.name}, ${formatPercent(result.accuracy)} of the test split correct.` : 'Cancelled.';
    });
  }

  private togglePlan(): Promise<void> {
    return this.busy(async () => {
      await host.request('plan', { noise: this.state?.planned ? null : this.noise });
      return '';
    });
  }

  private startAttack(): Promise<void> {
    return this.busy(async () => {
      const curves = await host.request('attack', {
        data: this.data.value.trim(),
        attack: this.attack.value as Attack,
        norm: this.norm.value as AttackNorm,
        epsilons: this.epsilons.value.split(',').map((text) => numberIn(text, 'Radii')),
        samples: numberIn(this.samples.value, 'Test images'),
      });
      if (!curves) return 'Cancelled.';
      this.showCurves(curves);
      return '';
    });
  }

  /** One colour a network; its control by random noise is dashed. */
  private showCurves(curves: readonly RobustnessCurve[]): void {
    const attack = this.attack.value;
    const series = curves.flatMap(({ name, report }, colour): Series[] => {
      const points = (kind: string): (readonly [number, number])[] => [
        [0, report.accuracy],
        ...report.attacks.filter((a) => a.attack === kind).map((a): readonly [number, number] => [a.epsilon, a.accuracy]),
      ];
      const control: Series[] =
        attack === 'random' ? [] : [{ name: `${name}, random noise`, points: points('random'), colour, isDashed: true }];
      return [{ name, points: points(attack), colour, hasDots: true }, ...control];
    });
    this.chartHosts.curves.hidden = false;
    this.curves.show(series);
    this.warnings.replaceChildren(
      ...curves.flatMap(({ name, report }) => report.warnings.map((warning) => element('li', '', `${name}: ${warning}`))),
    );
  }

  private showFeatures(): Promise<void> {
    return this.busy(async () => {
      const request = {
        noise: this.noise,
        data: this.data.value.trim(),
        layer: this.layer.value,
        sample: numberIn(this.sample.value, 'Test image'),
      };
      drawFeatureMaps(this.maps, await host.request('features', request));
      return '';
    });
  }

  private async busy(work: () => Promise<string>): Promise<void> {
    const buttons = [this.train, this.plan, this.measure, this.show];
    for (const button of buttons) button.disabled = true;
    this.stop.hidden = false;
    this.notice.show('Starting');
    try {
      this.notice.show(await work());
    } catch (error) {
      this.notice.show(messageOf(error), 'error');
    } finally {
      this.stop.hidden = true;
      for (const button of buttons) button.disabled = false;
    }
  }
}

registerControls();
const page = document.getElementById('page');
if (page) new NoisePage(page);

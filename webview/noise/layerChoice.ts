import type { NoisePageState } from '../../engine/contract/noisePage';
import { element } from '../shared/elements';

/** Check boxes for the layers that take noise. */
export class LayerChoice {
  readonly element = element('fieldset', 'layer-choice');
  private readonly boxes = new Map<string, HTMLInputElement>();
  private automatic: readonly string[] = [];

  constructor(private readonly onChange: () => void) {}

  show(layers: NoisePageState['layers'], chosen: readonly string[] | undefined): void {
    this.automatic = layers.filter((l) => l.isAutomatic).map((l) => l.name);
    const checked = new Set(chosen ?? this.automatic);
    this.boxes.clear();
    this.element.replaceChildren(element('legend', 'field-name', 'Layers whose outputs take noise'));
    for (const { name, op, isAutomatic } of layers) {
      const box = element('input');
      box.type = 'checkbox';
      box.checked = checked.has(name);
      box.addEventListener('change', this.onChange);
      const label = element('label', isAutomatic ? 'layer' : 'layer light');
      label.title = `${op}${isAutomatic ? ', chosen by itself' : ''}`;
      label.append(box, element('span', '', name));
      this.boxes.set(name, box);
      this.element.append(label);
    }
  }

  get chosen(): string[] {
    return [...this.boxes].filter(([, box]) => box.checked).map(([name]) => name);
  }

  /** Undefined when the choice is what noise chooses by itself. */
  get named(): string[] | undefined {
    const { chosen, automatic } = this;
    return chosen.length === automatic.length && chosen.every((name) => automatic.includes(name)) ? undefined : chosen;
  }

  set disabled(value: boolean) {
    this.element.disabled = value;
  }
}

import type { BlockTermChoice } from '../../engine/contract/decomposition';
import { ownChoice } from '../../engine/contract/rankChoices';
import { control } from '../controls/controls';
import { element, labelled } from '../shared/elements';

type Field = ReturnType<typeof control>;

/** Fields for modes, ranks and blocks; every whole shape that is typed is told to `onShape`, an unfinished one to `onProblem`. */
export class OwnShape {
  readonly element = element('div', 'own-shape');
  private readonly inputModes = field('input-modes', 'Input modes', '16');
  private readonly outputModes = field('output-modes', 'Output modes', '16');
  private readonly ranks = field('ranks', 'Rank', '8');
  private readonly blocks = field('blocks', 'Blocks', '4');
  private readonly problem = element('p', 'problem');

  constructor(onShape: (choice: BlockTermChoice) => void, onProblem: () => void) {
    const fields = element('div', 'fields');
    fields.append(
      labelled('Input modes', this.inputModes),
      labelled('Output modes, gates in the first', this.outputModes),
      labelled('Rank, or one for each mode', this.ranks),
      labelled('Blocks', this.blocks),
    );
    this.problem.setAttribute('role', 'alert');
    this.element.append(fields, this.problem);
    for (const each of [this.inputModes, this.outputModes, this.ranks, this.blocks])
      each.addEventListener('input', () => {
        const choice = this.read();
        if (choice) onShape(choice);
        else onProblem();
      });
  }

  show({ inputModes, outputModes, ranks, blocks }: BlockTermChoice): void {
    this.inputModes.value = inputModes.join(', ');
    this.outputModes.value = outputModes.join(', ');
    this.ranks.value = new Set(ranks).size === 1 ? String(ranks[0]) : ranks.join(', ');
    this.blocks.value = String(blocks);
    this.showProblem('');
  }

  showProblem(text: string): void {
    this.problem.textContent = text;
    this.problem.hidden = text === '';
  }

  private read(): BlockTermChoice | undefined {
    try {
      const [inputs, outputs] = [sizes(this.inputModes, 'Input modes'), sizes(this.outputModes, 'Output modes')];
      const [ranks, [blocks = 1]] = [sizes(this.ranks, 'Rank'), sizes(this.blocks, 'Blocks')];
      this.showProblem('');
      return ownChoice(inputs, outputs, ranks, blocks);
    } catch (error) {
      this.showProblem(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }
}

function field(id: string, label: string, size: string): Field {
  return control('vscode-text-field', { id, 'aria-label': label, size });
}

/** "8, 20 20×18" as numbers. */
function sizes({ value }: Field, name: string): number[] {
  const parts = value.split(/[\s,×x]+/).filter(Boolean);
  const numbers = parts.map(Number);
  if (numbers.length === 0 || numbers.some((n) => !Number.isInteger(n) || n < 1))
    throw new Error(`${name}: “${value}” is not a list of whole numbers above zero, such as 8, 20, 20, 18`);
  return numbers;
}

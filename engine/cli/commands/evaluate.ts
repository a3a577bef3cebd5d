import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Attack, AttackNorm, RobustnessReport } from '../../contract/robustness';
import { SurgeryError } from '../../graph/errors';
import { evaluateModel } from '../../server/operations/evaluate';
import { evaluateUnderAttack } from '../../server/operations/robustness';
import { runCommand } from '../io';
import {
  type DataFlags,
  type JsonOption,
  addDataOptions,
  addJson,
  byteCount,
  integer,
  nonNegative,
  numberList,
  positiveInteger,
} from '../options';
import { formatPercent, formatTable } from '../table';

interface EvaluateFlags extends DataFlags, JsonOption {
  data: string;
  batch: number;
  attack?: Attack[];
  epsilon?: number[];
  norm: AttackNorm;
  steps?: number;
  stepSize?: number;
  restarts: number;
  range?: [number, number];
  seed: number;
  memoryBudget?: number;
}

const ATTACKS: readonly Attack[] = ['fgsm', 'ifgsm', 'pgd', 'random'];

export function defineEvaluate(program: Command): void {
  const command = addDataOptions(program.command('evaluate <model>').description('loss and accuracy on the test split, also under attack'))
    .option('--batch <count>', 'samples in a batch', positiveInteger, 250)
    .option('--attack <list>', `attacks with commas between them: ${ATTACKS.join(', ')}`, attackList)
    .option('--epsilon <list>', 'radii, such as 2/255,8/255: of values after division by 255, before --mean and --std', ratioList)
    .addOption(new Option('--norm <name>', 'how far a perturbation reaches').choices(['linf', 'l2']).default('linf'))
    .option('--steps <count>', 'steps of ifgsm and pgd (default: 10)', positiveInteger)
    .option('--step-size <length>', 'length of a step (default: epsilon / steps for ifgsm, 2.5 epsilon / steps for pgd)', nonNegative)
    .option('--restarts <count>', 'random starts of pgd and random; the worst counts', positiveInteger, 1)
    .option('--range <low,high>', 'least and largest value of the data (default: those of 8-bit images)', rangeOf)
    .option('--memory-budget <size>', 'evaluate or attack within a memory pool of this size, such as 512MiB', byteCount)
    .option('--seed <number>', 'seed of random starts', integer, 1);
  addJson(command).action((model: string, options: EvaluateFlags) =>
    runCommand(options, async (io) => {
      const { attack: attacks, epsilon: epsilons } = options;
      if (!attacks !== !epsilons) throw new SurgeryError('option-invalid', 'Give --attack and --epsilon together');
      if (attacks && epsilons) {
        const report = await evaluateUnderAttack(model, { ...options, attacks, epsilons }, io);
        return { document: report, text: describe(report) };
      }
      const result = await evaluateModel(model, options, io);
      return { document: result, text: `${formatPercent(result.accuracy)} of ${result.count} correct, loss ${result.loss.toFixed(4)}` };
    }),
  );
}

function describe({ count, accuracy, loss, attacks, warnings }: RobustnessReport): string {
  const row = (name: string, epsilon: string, a: number, l: number): string[] => [name, epsilon, formatPercent(a), l.toFixed(4)];
  const rows = [
    row('none', '', accuracy, loss),
    ...attacks.map((r) => row(`${r.attack} ${r.norm}`, r.epsilon.toPrecision(3), r.accuracy, r.loss)),
  ];
  const notes = warnings.map((warning) => `\nWarning: ${warning}`).join('');
  return `${formatTable(['attack', 'epsilon', 'correct', 'loss'], rows)}\n${count} samples${notes}`;
}

function attackList(text: string): Attack[] {
  return text.split(',').map((name) => {
    const found = ATTACKS.find((attack) => attack === name.trim());
    if (!found) throw new InvalidArgumentError(`${name} is not an attack; use ${ATTACKS.join(', ')}.`);
    return found;
  });
}

/** "2/255,0.05" */
function ratioList(text: string): number[] {
  return text.split(',').map((part) => {
    const [numerator, denominator = 1, ...rest] = part.split('/').map((piece) => (piece.trim() === '' ? NaN : Number(piece)));
    const value = (numerator ?? NaN) / denominator;
    if (rest.length > 0 || !(value >= 0) || !Number.isFinite(value))
      throw new InvalidArgumentError('It must be numbers or ratios of at least zero with commas between them, such as 2/255,8/255.');
    return value;
  });
}

function rangeOf(text: string): [number, number] {
  const [low, high, ...rest] = numberList(text);
  if (low === undefined || high === undefined || rest.length > 0 || low >= high)
    throw new InvalidArgumentError('It must be two numbers, the smaller first, such as 0,1.');
  return [low, high];
}

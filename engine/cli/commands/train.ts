import { type Command, Option } from 'commander';
import { type MemoryPolicy, type TrainingMemory, type WorkspaceMode, describeForms, hiddenPart } from '../../contract/memory';
import type { DistillationOptions } from '../../contract/protocol';
import { SurgeryError } from '../../graph/errors';
import { MEMORY_POLICIES, WORKSPACE_MODES } from '../../memory/schedule';
import { trainModel } from '../../server/operations/train';
import { LAYOUTS, type Layout } from '../../runtime/layout';
import { SCHEDULES } from '../../training/schedule';
import { runCommand } from '../io';
import { type NoiseFlags, addNoiseOptions, noiseOptionsOf } from '../noiseOptions';
import {
  type DataFlags,
  type JsonOption,
  WORKSPACE_HELP,
  addDataOptions,
  addJson,
  byteCount,
  integer,
  nonNegative,
  positiveInteger,
} from '../options';
import { formatBytes, formatPercent, formatTable } from '../table';

interface TrainFlags extends DataFlags, NoiseFlags, JsonOption {
  data: string;
  output: string;
  epochs: number;
  batch: number;
  lr: number;
  optimiser: 'sgd' | 'adam' | 'adamw';
  schedule: (typeof SCHEDULES)[number];
  momentum: number;
  nesterov?: boolean;
  weightDecay: number;
  seed: number;
  augment?: boolean;
  resume?: boolean;
  recipe?: keyof typeof RECIPES;
  layout: Layout;
  accumulate?: number;
  memoryBudget?: number;
  memoryPolicy?: MemoryPolicy;
  workspace?: WorkspaceMode;
  teacher?: string;
  teacherWeight?: number;
  teacherTemperature?: number;
}

/** Settings of published experiments, which stand where an option is not given. */
const RECIPES = {
  'bt-rnn': { optimiser: 'adam', lr: 1e-4, schedule: 'inverse', batch: 16, weightDecay: 0, epochs: 500 },
} as const;

export function defineTrain(program: Command): void {
  const command = addDataOptions(program.command('train <model>').description('train or tune a classifier'))
    .requiredOption('-o, --output <file>', 'where the trained model goes')
    .option('--epochs <count>', 'passes over the training split', positiveInteger, 1)
    .option('--batch <count>', 'samples in a step', positiveInteger, 128)
    .option('--lr <rate>', 'learning rate (its peak when triangular)', nonNegative, 0.05)
    .addOption(new Option('--optimiser <name>', 'update rule').choices(['sgd', 'adam', 'adamw']).default('sgd'))
    .addOption(new Option('--schedule <name>', 'course of the learning rate').choices([...SCHEDULES]).default('cosine'))
    .option('--momentum <factor>', 'momentum of SGD', nonNegative, 0.9)
    .option('--nesterov', 'Nesterov momentum')
    .option('--weight-decay <factor>', 'weight decay', nonNegative, 5e-4)
    .option('--seed <number>', 'seed of shuffling, augmentation, dropout and noise', integer, 1)
    .option('--augment', 'random crop and horizontal flip')
    .addOption(
      new Option('--layout <name>', 'activations in memory: blocked kernels where they work, the portable layout, or blocked or an error')
        .choices([...LAYOUTS])
        .default('auto'),
    )
    .option(
      '--accumulate <count>',
      'average the gradients of so many batches for each update, so that a batch that has no room is trained in parts (batch norm sees each part alone)',
      positiveInteger,
    )
    .option('--memory-budget <size>', 'train within a memory pool of this size, such as 512MiB', byteCount)
    .addOption(new Option('--memory-policy <name>', 'how memory is saved (default: auto)').choices([...MEMORY_POLICIES]))
    .addOption(new Option('--workspace <mode>', WORKSPACE_HELP).choices([...WORKSPACE_MODES]))
    .option('--teacher <model>', 'learn the outputs of this model beside the labels (knowledge distillation)')
    .option('--teacher-weight <part>', 'part of the loss that the teacher makes (default: 0.5)', nonNegative)
    .option('--teacher-temperature <factor>', 'what both outputs are divided by (default: 4)', nonNegative)
    .addOption(
      new Option('--recipe <name>', 'settings of a paper where options are not given: BT-RNN on UCF11').choices(Object.keys(RECIPES)),
    )
    .option('--resume', 'go on from the checkpoint beside the output');
  addJson(addNoiseOptions(command)).action((model: string, given: TrainFlags) =>
    runCommand(given, async (io) => {
      const recipe = given.recipe ? RECIPES[given.recipe] : {};
      const free = Object.entries(recipe).filter(([name]) => command.getOptionValueSource(name) === 'default');
      const options: TrainFlags = { ...given, ...Object.fromEntries(free) };
      const result = await trainModel(
        model,
        { ...options, noise: noiseOptionsOf(options), distillation: distillationOf(options), learningRate: options.lr },
        io,
      );
      const rows = result.epochs.map((e) => [String(e.epoch), e.loss.toFixed(4), formatPercent(e.accuracy), `${e.seconds.toFixed(1)} s`]);
      const memory = result.memory ? `\n${describeMemory(result.memory)}` : '';
      return { document: result, text: `${formatTable(['epoch', 'loss', 'accuracy', 'time'], rows)}${memory}\nWrote ${options.output}` };
    }),
  );
}

function distillationOf({ teacher, teacherWeight: weight, teacherTemperature: temperature }: TrainFlags): DistillationOptions | undefined {
  if (teacher !== undefined) return { teacher, weight, temperature };
  if (weight !== undefined || temperature !== undefined)
    throw new SurgeryError('option-invalid', `--teacher-${weight === undefined ? 'temperature' : 'weight'} needs --teacher`);
  return undefined;
}

function describeMemory(memory: TrainingMemory): string {
  const { poolBytes, peakBytes, measuredPeakBytes, spillBytes, trafficBytes, transferSeconds, processFloorBytes, processBytes } = memory;
  const reached = measuredPeakBytes === undefined ? '' : `, ${formatBytes(measuredPeakBytes)} reached`;
  const hidden = hiddenPart(memory);
  const forms = memory.convolutions ? `; ${describeForms(memory.convolutions)}` : '';
  const overlap = hidden === undefined ? '' : ` in ${transferSeconds.toFixed(2)} s, ${formatPercent(hidden)} of it behind computing`;
  return (
    `Memory: pool ${formatBytes(poolBytes)} with at most ${formatBytes(peakBytes)} planned in use${reached}; ` +
    `spill file ${formatBytes(spillBytes)}, ${formatBytes(trafficBytes)} moved in a step${overlap}; ` +
    `the process grew by ${formatBytes(processBytes)} from ${formatBytes(processFloorBytes)}${forms}`
  );
}

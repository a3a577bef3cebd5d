import { SurgeryError } from '../graph/errors';

/** Hyper-parameters of Tick-Tock. Defaults are those of the paper and the authors' ResNet-56 run (papers.md 3.1). */
export interface TickTockConfig {
  readonly filtersPerTick: number;
  readonly ticksPerTock: number;
  readonly initialTock: boolean;
  readonly tickData: number;
  readonly tickRate: number;
  readonly tockEpochs: number;
  readonly sparsity: number;
  readonly lowRate: number;
  readonly highRate: number;
  readonly flopsPenalty: number;
  readonly perCost: boolean;
  readonly minimumKept: number;
  readonly maximumKept: number;
  readonly finetuneEpochs: number;
  readonly finetuneHighRate: number;
  readonly finetuneMomentum: number;
  readonly finalEpochs: number;
  readonly teacherWeight: number;
  readonly teacherTemperature: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly batch: number;
  readonly augment: boolean;
  readonly testSamples: number;
  readonly seed: number;
}

interface Entry<T> {
  readonly value: T;
  readonly about: string;
  readonly whole?: boolean;
  readonly range?: readonly [number, number];
}

const FRACTION: readonly [number, number] = [0, 1];

/** Every hyper-parameter with its default, its meaning and what it may be. */
const ENTRIES: { readonly [K in keyof TickTockConfig]: Entry<TickTockConfig[K]> } = {
  filtersPerTick: { value: 0.002, range: FRACTION, about: 'fraction p of the filters left that each Tick removes' },
  ticksPerTock: { value: 10, whole: true, range: [1, 1e6], about: 'Ticks between two Tocks (T)' },
  initialTock: { value: true, about: 'one Tock before anything is cut' },
  tickData: { value: 1, range: FRACTION, about: 'fraction of the training data that a Tick looks at, one pass' },
  tickRate: { value: 1e-3, about: 'learning rate of a Tick, in which convolutions are frozen' },
  tockEpochs: { value: 10, whole: true, about: 'epochs of a Tock, in which everything trains' },
  sparsity: { value: 1e-3, about: 'strength lambda of the L1 term on the gates in a Tock' },
  lowRate: { value: 1e-3, about: 'learning rate at both ends of a Tock and of the fine-tuning' },
  highRate: { value: 1e-2, about: 'learning rate in the middle of a Tock' },
  flopsPenalty: { value: 0, about: 'eta of the FLOPs-aware score; 0 ranks by importance alone' },
  perCost: { value: false, about: 'rank by importance per MAC (per parameter where the budget counts those); not in the paper' },
  minimumKept: { value: 0.1, range: FRACTION, about: 'fraction of its channels that every layer keeps at least' },
  maximumKept: { value: 1, range: FRACTION, about: 'fraction of its channels that every layer keeps at most in the end' },
  finetuneEpochs: { value: 40, whole: true, about: 'epochs of fine-tuning once the budget is met' },
  finetuneHighRate: { value: 1e-2, about: 'learning rate in the middle of the fine-tuning' },
  finetuneMomentum: { value: 0.9, range: FRACTION, about: "momentum of the fine-tuning (the authors' code has 0 there)" },
  finalEpochs: { value: 10, whole: true, about: 'epochs at the low rate after the fine-tuning' },
  teacherWeight: {
    value: 0,
    range: FRACTION,
    about: 'part of the loss of Tocks and fine-tuning that learns the outputs of the network before pruning; not in the paper',
  },
  teacherTemperature: { value: 4, range: [0.1, 100], about: 'what outputs are divided by when they are learnt' },
  momentum: { value: 0.9, range: FRACTION, about: 'momentum of SGD in Ticks and Tocks' },
  weightDecay: { value: 5e-4, about: 'weight decay of whatever trains, gates included' },
  batch: { value: 128, whole: true, range: [1, 1e6], about: 'samples in a step' },
  augment: { value: true, about: 'random crop and horizontal flip where the data are images' },
  testSamples: { value: 0, whole: true, about: 'test samples that accuracies on the way are measured on; 0 takes all' },
  seed: { value: 1, whole: true, range: [0, 2 ** 31], about: 'seed of order and augmentation' },
};

const keys = Object.keys(ENTRIES) as (keyof TickTockConfig)[];

export const TICK_TOCK_DEFAULTS = Object.fromEntries(keys.map((key) => [key, ENTRIES[key].value])) as unknown as TickTockConfig;

/** The defaults as a file to start from: JSON with a comment over every line. */
export function describeTickTockConfig(): string {
  const lines = keys.flatMap((key, i) => [
    `  // ${ENTRIES[key].about}`,
    `  "${key}": ${JSON.stringify(ENTRIES[key].value)}${i + 1 < keys.length ? ',' : ''}`,
  ]);
  return `{\n${lines.join('\n')}\n}\n`;
}

/** Reads a config file (JSON; lines that start with // are comments); what it leaves out has its default. */
export function parseTickTockConfig(text: string, file: string): TickTockConfig {
  const fail = (reason: string): never => {
    throw new SurgeryError('option-invalid', `${file}: ${reason}`);
  };
  let stated: unknown;
  try {
    stated = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ''));
  } catch (error) {
    return fail(`it is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof stated !== 'object' || stated === null || Array.isArray(stated)) return fail('it must be one object of settings');
  for (const [key, value] of Object.entries(stated)) checkEntry(key, value, fail);
  return { ...TICK_TOCK_DEFAULTS, ...stated };
}

function checkEntry(key: string, value: unknown, fail: (reason: string) => never): void {
  if (!(key in ENTRIES)) fail(`there is no setting ${key}; --print-config shows them all`);
  const entry: Entry<unknown> = ENTRIES[key as keyof TickTockConfig];
  if (typeof value !== typeof entry.value) fail(`${key} must be a ${typeof entry.value}, not ${JSON.stringify(value)}`);
  if (typeof value !== 'number') return;
  const [least, most] = entry.range ?? [0, 1e6];
  if (!(value >= least && value <= most) || (entry.whole && !Number.isInteger(value)))
    fail(`${key} must be a ${entry.whole ? 'whole number' : 'number'} from ${least} to ${most}, not ${value}`);
}

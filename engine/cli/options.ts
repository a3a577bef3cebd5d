import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseBytes } from '../contract/format';
import type { RoundTo } from '../contract/protocol';
import { SurgeryError } from '../graph/errors';

/** Parsers turn text into values or say in one line what is wrong with it. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0) throw new InvalidArgumentError('It must be a positive whole number.');
  return value;
}

export function integer(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('It must be a number of at least zero.');
  return value;
}

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above zero.');
  return value;
}

export function fraction(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('It must be a fraction above 0 and up to 1, the part that is kept.');
  return value;
}

export function numberList(text: string): number[] {
  const values = text.split(',').map(Number);
  if (text.trim() === '' || values.some((v) => !Number.isFinite(v)))
    throw new InvalidArgumentError('It must be numbers with commas between them.');
  return values;
}

export function sizeList(text: string): number[] {
  const values = numberList(text);
  if (values.some((v) => !Number.isInteger(v) || v <= 0))
    throw new InvalidArgumentError('It must be positive whole numbers with commas between them.');
  return values;
}

/** "512MiB", "1.5GB", "1000000". */
export function byteCount(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError('It must be a size such as 512MiB or 2GiB.');
  return bytes;
}

export interface JsonOption {
  json?: boolean;
}

export interface DataFlags {
  data?: string;
  mean?: number[];
  std?: number[];
  raw?: boolean;
  limit?: number;
  threads?: number;
}

/** The options every command that reads labelled data has. */
export function addDataOptions(command: Command, required = true): Command {
  const data = new Option(
    '--data <where>',
    'IDX or CIFAR folder, class folders with images or clips, .npz, time series (.ts), or generated:shapes?classes=10&size=32&seed=1 (generated:motions)',
  );
  if (required) data.makeOptionMandatory();
  return command
    .addOption(data)
    .option('--mean <list>', 'mean of each channel, after division by 255 unless --raw', numberList)
    .option('--std <list>', 'standard deviation of each channel', numberList)
    .option('--raw', 'do not divide 8-bit images by 255')
    .option('--limit <count>', 'use only the first samples of the split', positiveInteger)
    .option('--threads <count>', 'threads of the runtime (default: physical cores)', positiveInteger);
}

export interface BudgetFlags {
  flops?: number;
  params?: number;
  filters?: number;
  latency?: number;
  roundTo?: RoundTo;
  lock?: string[];
}

/** What is kept, and the limits that hold meanwhile. */
export function addBudgetOptions(command: Command): Command {
  return command
    .option('--flops <fraction>', 'keep this fraction of the MACs', fraction)
    .option('--params <fraction>', 'keep this fraction of the parameters', fraction)
    .option('--filters <count>', 'keep this many filters', positiveInteger)
    .option('--latency <ms>', 'get down to this median time of one sample, measured here', positive)
    .option('--round-to <count>', 'keep channel counts at multiples of this, or auto: of what the kernels here like', roundTo)
    .option('--lock <layer...>', 'layers or groups that lose nothing');
}

export function checkBudget({ flops, params, filters, latency }: BudgetFlags): void {
  if ([flops, params, filters, latency].filter((b) => b !== undefined).length !== 1)
    throw new SurgeryError('option-invalid', 'Give exactly one of --flops, --params, --filters and --latency');
}

const roundTo = (text: string): RoundTo => (text === 'auto' ? text : positiveInteger(text));

export const addJson = (command: Command): Command => command.option('--json', 'print one JSON document on stdout and nothing else');

export const WORKSPACE_HELP =
  'gradients of convolutions within a budget: fixed as without one, or dynamic, in the way that takes the least time (results then differ by rounding)';

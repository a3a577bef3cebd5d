import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { TickTockResult } from '../../contract/tickTock';
import { SurgeryError } from '../../graph/errors';
import { describeTickTockConfig, parseTickTockConfig } from '../../pruning/tickTockConfig';
import { tickTockModel } from '../../server/operations/tickTock';
import { runCommand } from '../io';
import { type NoiseFlags, addNoiseOptions, noiseOptionsOf } from '../noiseOptions';
import { type BudgetFlags, type DataFlags, type JsonOption, addBudgetOptions, addDataOptions, addJson, checkBudget } from '../options';
import { formatPercent, formatTable } from '../table';
import { formatCard } from '../resultCard';

interface TickTockFlags extends DataFlags, BudgetFlags, NoiseFlags, JsonOption {
  data: string;
  output: string;
  config?: string;
  resume?: boolean;
  snapshots?: string;
  teacher?: string;
  plan?: string;
  weights?: string;
}

export function defineTickTock(program: Command): void {
  program
    .command('tick-tock-config')
    .description("every setting of tick-tock with the paper's value, as a file to start from")
    .action(() => void process.stdout.write(describeTickTockConfig()));
  const command = addDataOptions(
    program.command('tick-tock <model>').description('Gate Decorator: prune and tune in turns down to a budget'),
  ).requiredOption('-o, --output <file>', 'where the pruned and tuned model goes');
  addBudgetOptions(command)
    .option('--config <file>', 'settings that differ from the defaults (see tick-tock-config)')
    .option('--teacher <model>', 'whose outputs are learnt where the settings have a teacherWeight (default: the model before pruning)')
    .option('--plan <file>', 'write the surgery plan, with the channels kept, here too')
    .option('--weights <file.safetensors>', 'write the weights here too, under the names that the state dict of PyTorch has')
    .option('--snapshots <folder>', 'keep the network of every Tick here')
    .option('--resume', 'go on from the checkpoint beside the output');
  addJson(addNoiseOptions(command)).action((model: string, options: TickTockFlags) =>
    runCommand(options, async (io) => {
      checkBudget(options);
      const config = options.config === undefined ? undefined : { ...parseTickTockConfig(readConfig(options.config), options.config) };
      const result = await tickTockModel(model, { ...options, locked: options.lock, noise: noiseOptionsOf(options), config }, io);
      return { document: result, text: describe(result, options.output) };
    }),
  );
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new SurgeryError('file-not-found', `${file} cannot be read: ${String(error)}`);
  }
}

function describe(result: TickTockResult, output: string): string {
  const whole = result.before.macs;
  const rows = result.history.map((p) => [
    p.phase,
    String(p.ticks),
    String(p.filters),
    formatPercent(p.macs / whole),
    p.loss.toFixed(4),
    formatPercent(p.accuracy),
  ]);
  return `${formatTable(['phase', 'ticks', 'filters', 'MACs', 'loss', 'accuracy'], rows)}\n\n${formatCard(result)}\nWrote ${output}`;
}

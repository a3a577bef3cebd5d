import { type Command, Option } from 'commander';
import type { Criterion } from '../../contract/models';
import { SurgeryError } from '../../graph/errors';
import { CRITERIA } from '../../server/operations/importance';
import { pruneModel } from '../../server/operations/prune';
import { runCommand } from '../io';
import {
  type BudgetFlags,
  type DataFlags,
  type JsonOption,
  addBudgetOptions,
  addDataOptions,
  addJson,
  checkBudget,
  fraction,
  integer,
  positiveInteger,
} from '../options';
import { formatCard } from '../resultCard';

interface PruneFlags extends DataFlags, BudgetFlags, JsonOption {
  output: string;
  criterion: Criterion;
  batches: number;
  batch: number;
  minKept: number;
  maxKept: number;
  perCost?: boolean;
  planOnly?: boolean;
  plan?: string;
  weights?: string;
  seed: number;
}

export function definePrune(program: Command): void {
  const command = addBudgetOptions(
    addDataOptions(program.command('prune <model>').description('remove the least important filters down to a budget'), false),
  )
    .requiredOption('-o, --output <file>', 'where the pruned model (or with --plan-only the plan) goes')
    .addOption(new Option('--criterion <name>', 'how filters are scored').choices([...CRITERIA]).default('gate-taylor'))
    .option('--per-cost', 'rank by score per MAC (per parameter with --params alone)')
    .option('--batches <count>', 'batches that are looked at', positiveInteger, 20)
    .option('--batch <count>', 'samples in a batch', positiveInteger, 100)
    .option('--min-kept <fraction>', 'every layer keeps at least this fraction of its channels', fraction, 0.1)
    .option('--max-kept <fraction>', 'every layer keeps at most this fraction of its channels', fraction, 1)
    .option('--seed <number>', 'seed', integer, 1)
    .option('--plan <file>', 'write the surgery plan, with the channels kept, here too')
    .option('--weights <file.safetensors>', 'write the pruned weights here too, under the names that the state dict of PyTorch has')
    .option('--plan-only', 'write the surgery plan instead of a model');
  addJson(command).action((model: string, options: PruneFlags) =>
    runCommand(options, async (io) => {
      checkBudget(options);
      if (options.criterion === 'gate-taylor' && !options.data)
        throw new SurgeryError('option-invalid', '--criterion gate-taylor needs --data; the others work without');
      const result = await pruneModel(
        model,
        {
          ...options,
          plan: undefined,
          planFile: options.plan,
          locked: options.lock,
          minimumKept: options.minKept,
          maximumKept: options.maxKept,
        },
        io,
      );
      return { document: result, text: `${formatCard(result)}\nWrote ${options.output}` };
    }),
  );
}

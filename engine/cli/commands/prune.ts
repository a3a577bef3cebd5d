import { type Command, Option } from 'commander';
import type { Criterion } from '../../contract/models';
import { SurgeryError } from '../../graph/errors';
import { CRITERIA } from '../../server/operations/importance';
import { type PruneResult, pruneModel } from '../../server/operations/prune';
import { runCommand } from '../io';
import { type DataFlags, type JsonOption, addDataOptions, addJson, fraction, integer, positiveInteger } from '../options';
import { formatBytes, formatPercent, formatTable } from '../table';

interface PruneFlags extends DataFlags, JsonOption {
  output: string;
  flops?: number;
  params?: number;
  filters?: number;
  criterion: Criterion;
  batches: number;
  batch: number;
  roundTo?: number;
  planOnly?: boolean;
  seed: number;
}

export function definePrune(program: Command): void {
  const command = addDataOptions(program.command('prune <model>').description('remove the least important filters down to a budget'), false)
    .requiredOption('-o, --output <file>', 'where the pruned model (or with --plan-only the plan) goes')
    .option('--flops <fraction>', 'keep this fraction of the MACs', fraction)
    .option('--params <fraction>', 'keep this fraction of the parameters', fraction)
    .option('--filters <count>', 'keep this many filters', positiveInteger)
    .addOption(new Option('--criterion <name>', 'how filters are scored').choices([...CRITERIA]).default('gate-taylor'))
    .option('--batches <count>', 'batches that are looked at', positiveInteger, 20)
    .option('--batch <count>', 'samples in a batch', positiveInteger, 100)
    .option('--round-to <count>', 'keep channel counts at multiples of this', positiveInteger)
    .option('--seed <number>', 'seed', integer, 1)
    .option('--plan-only', 'write the surgery plan instead of a model');
  addJson(command).action((model: string, options: PruneFlags) =>
    runCommand(options, async (io) => {
      const budgets = [options.flops, options.params, options.filters].filter((b) => b !== undefined);
      if (budgets.length !== 1) throw new SurgeryError('option-invalid', 'Give exactly one of --flops, --params and --filters');
      if (options.criterion === 'gate-taylor' && !options.data)
        throw new SurgeryError('option-invalid', '--criterion gate-taylor needs --data; the others work without');
      const result = await pruneModel(model, options, io);
      return { document: result, text: describe(result, options.output) };
    }),
  );
}

function describe({ before, after, maskedDifference }: PruneResult, output: string): string {
  const percent = (value: number | undefined): string => (value === undefined ? '-' : formatPercent(value));
  const rows = [
    [
      'parameters',
      before.parameters.toLocaleString('en-US'),
      after.parameters.toLocaleString('en-US'),
      formatPercent(after.parameters / before.parameters),
    ],
    ['MACs', before.macs.toLocaleString('en-US'), after.macs.toLocaleString('en-US'), formatPercent(after.macs / before.macs)],
    ['file', formatBytes(before.bytes), formatBytes(after.bytes), formatPercent(after.bytes / before.bytes)],
    ['latency', `${before.latencyMs.toFixed(3)} ms`, `${after.latencyMs.toFixed(3)} ms`, formatPercent(after.latencyMs / before.latencyMs)],
    ['accuracy', percent(before.accuracy), percent(after.accuracy), ''],
  ];
  return `${formatTable(['', 'before', 'after', 'kept'], rows)}\nPruned and masked network differ by ${maskedDifference.toExponential(1)} (relative).\nWrote ${output}`;
}

import { type Command, Option } from 'commander';
import { CRITERIA, computeImportance } from '../../server/operations/importance';
import { SurgeryError } from '../../graph/errors';
import type { Criterion } from '../../contract/models';
import { runCommand } from '../io';
import { type DataFlags, type JsonOption, addDataOptions, addJson, integer, positiveInteger } from '../options';
import { formatTable } from '../table';

interface ImportanceFlags extends DataFlags, JsonOption {
  criterion: Criterion;
  batches: number;
  batch: number;
  seed: number;
}

export function defineImportance(program: Command): void {
  const command = addDataOptions(program.command('importance <model>').description('score of every prunable filter'), false)
    .addOption(new Option('--criterion <name>', 'how filters are scored').choices([...CRITERIA]).default('gate-taylor'))
    .option('--batches <count>', 'batches that are looked at', positiveInteger, 20)
    .option('--batch <count>', 'samples in a batch', positiveInteger, 100)
    .option('--seed <number>', 'seed', integer, 1);
  addJson(command).action((model: string, options: ImportanceFlags) =>
    runCommand(options, async (io) => {
      if (options.criterion === 'gate-taylor' && !options.data)
        throw new SurgeryError('option-invalid', '--criterion gate-taylor needs --data; the others work without');
      const report = await computeImportance(model, options, io);
      const rank = globalRank(report.groups.map((g) => g.scores));
      const groups = report.groups.map((g, i) => ({ ...g, rank: rank[i] }));
      const rows = report.groups.map((g) => [g.id, g.scores.length, Math.min(...g.scores), median(g.scores), Math.max(...g.scores)]);
      return { document: { ...report, groups }, text: formatTable(['group', 'filters', 'lowest', 'median', 'highest'], rows) };
    }),
  );
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Place of every filter in the order of all scores; 0 is the least important. */
function globalRank(groups: readonly (readonly number[])[]): number[][] {
  const all = groups.flatMap((scores, group) => scores.map((score, channel) => ({ score, group, channel })));
  const ranks = groups.map((scores) => new Array<number>(scores.length));
  all.sort((a, b) => a.score - b.score).forEach(({ group, channel }, place) => ((ranks[group] as number[])[channel] = place));
  return ranks;
}

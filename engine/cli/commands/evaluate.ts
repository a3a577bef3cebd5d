import type { Command } from 'commander';
import { evaluateModel } from '../../server/operations/evaluate';
import { runCommand } from '../io';
import { type DataFlags, type JsonOption, addDataOptions, addJson, positiveInteger } from '../options';
import { formatPercent } from '../table';

export function defineEvaluate(program: Command): void {
  const command = program.command('evaluate <model>').description('loss and accuracy on the test split');
  addJson(addDataOptions(command).option('--batch <count>', 'samples in a batch', positiveInteger, 250)).action(
    (model: string, options: DataFlags & JsonOption & { data: string; batch: number }) =>
      runCommand(options, async (io) => {
        const result = await evaluateModel(model, options, io);
        return { document: result, text: `${formatPercent(result.accuracy)} of ${result.count} correct, loss ${result.loss.toFixed(4)}` };
      }),
  );
}

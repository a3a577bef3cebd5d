import type { Command } from 'commander';
import { compareFiles } from '../../server/operations/compare';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';

export function defineCompare(program: Command): void {
  addJson(program.command('compare <a> <b>').description('what changed from one model to the other')).action(
    (a: string, b: string, options: JsonOption) =>
      runCommand(options, async (io) => {
        const { document, lines } = await compareFiles(a, b, io);
        return { document, text: lines.join('\n') };
      }),
  );
}

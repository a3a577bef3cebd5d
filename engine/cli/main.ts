import { Command, CommanderError } from 'commander';
import { version } from '../../package.json';
import { defineApply } from './commands/apply';
import { defineCompare } from './commands/compare';
import { defineConvert } from './commands/convert';
import { defineCreate } from './commands/create';
import { defineDevices } from './commands/devices';
import { defineEvaluate } from './commands/evaluate';
import { defineGradients } from './commands/gradients';
import { defineImportance } from './commands/importance';
import { defineInspect } from './commands/inspect';
import { definePrune } from './commands/prune';
import { defineRanks } from './commands/ranks';
import { defineTickTock } from './commands/tickTock';
import { defineTrain } from './commands/train';

const USAGE = 2;

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('scalpel')
    .description('Model surgery on ONNX files: see, cut, tune, verify.')
    .version(version)
    .exitOverride();
  program.configureOutput({ writeErr: (text) => process.stderr.write(text) });
  for (const define of [
    defineInspect,
    defineImportance,
    definePrune,
    defineRanks,
    defineTickTock,
    defineTrain,
    defineEvaluate,
    defineCreate,
    defineConvert,
    defineApply,
    defineCompare,
    defineGradients,
    defineDevices,
  ])
    define(program);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  }
}

void main(process.argv);

import type { Command } from 'commander';
import type { PaperResult } from '../../memory/paper/techniques';
import { paperMemory } from '../../server/operations/paperMemory';
import { SurgeryError } from '../../graph/errors';
import { runCommand } from '../io';
import { type JsonOption, addJson, positiveInteger } from '../options';
import { formatTable } from '../table';

interface MemoryFlags extends JsonOption {
  batch: number;
  paper?: string;
}

export function defineMemory(program: Command): void {
  const command = program
    .command('memory [model]')
    .description('where every byte of a training step goes, without training')
    .requiredOption('--batch <count>', 'samples in a step', positiveInteger)
    .option('--paper <network>', "one of SuperNeurons' networks (alexnet, resnet50, resnet101) under the paper's cost model");
  addJson(command).action((model: string | undefined, options: MemoryFlags) =>
    runCommand(options, () => {
      if (options.paper === undefined) throw new SurgeryError('option-invalid', `memory needs --paper and not ${model ?? 'nothing'}`);
      return Promise.resolve(describePaper(options.paper, options.batch));
    }),
  );
}

function describePaper(name: string, batch: number) {
  const document = paperMemory(name, batch);
  const rows = Object.entries<PaperResult>(document).map(([technique, r]) => [
    technique,
    r.peakMiB.toFixed(3),
    r.step,
    r.tensors,
    r.recomputes,
  ]);
  return { document, text: formatTable(['technique', 'peak MiB', 'at step', 'tensors', 'recomputes'], rows) };
}

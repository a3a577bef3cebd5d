import type { Command } from 'commander';
import type { ShapeCost } from '../../contract/decomposition';
import { SurgeryError } from '../../graph/errors';
import { costOfShape } from '../../server/operations/shapeCost';
import { runCommand } from '../io';
import { type JsonOption, addJson, positiveInteger, sizeList } from '../options';
import { formatBytes, formatCount, formatTable } from '../table';

interface RankFlags extends JsonOption {
  inputModes?: number[];
  outputModes?: number[];
  rank: number[];
  blocks: number;
  batch: number;
}

export function defineRanks(program: Command): void {
  const command = program
    .command('ranks')
    .description('what a block-term layer of a shape costs')
    .option('--input-modes <sizes>', 'factors of the inputs, such as 8,20,20,18', sizeList)
    .option('--output-modes <sizes>', 'factors of the outputs, with the gates of a recurrent layer in the first', sizeList)
    .option('--rank <sizes>', 'core rank: one, or one for each mode', sizeList, [4])
    .option('--blocks <count>', 'number of blocks', positiveInteger, 2)
    .option('--batch <count>', 'samples of one forward pass', positiveInteger, 1);
  addJson(command).action((options: RankFlags) =>
    runCommand(options, () => {
      const { inputModes, outputModes } = options;
      if (!inputModes || !outputModes) throw new SurgeryError('option-invalid', 'ranks needs --input-modes and --output-modes');
      const cost = costOfShape({ ...options, inputModes, outputModes });
      return Promise.resolve({ document: cost, text: describeCost(cost) });
    }),
  );
}

function describeCost(cost: ShapeCost): string {
  const steps = cost.path.map((step) => [step.contract.join(' with '), step.result.join(' '), step.elements, step.macs]);
  return [
    `${formatCount(cost.parameters)} parameters in place of ${formatCount(cost.denseParameters)} (${cost.ratio.toFixed(1)} times fewer)`,
    `${formatCount(cost.macs)} MACs in place of ${formatCount(cost.denseMacs)} (${(cost.denseMacs / cost.macs).toFixed(2)} times fewer), batch ${cost.batch}`,
    cost.macs > cost.denseMacs ? 'This layer gets slower, not faster.' : '',
    cost.rebuilds ? 'The weight is rebuilt once a forward pass.' : '',
    `at most ${formatBytes(cost.peakBytes)} of intermediate results`,
    formatTable(['contract', 'result', 'elements', 'MACs'], steps),
  ]
    .filter(Boolean)
    .join('\n');
}

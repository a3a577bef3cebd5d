import type { Command } from 'commander';
import type { LayerRanks, ShapeCost } from '../../contract/decomposition';
import { SurgeryError } from '../../graph/errors';
import { rankModel } from '../../server/operations/decompose';
import { costOfShape } from '../../server/operations/shapeCost';
import { runCommand } from '../io';
import { type JsonOption, addJson, integer, positiveInteger, sizeList } from '../options';
import { formatBytes, formatCount, formatTable } from '../table';

interface RankFlags extends JsonOption {
  inputModes?: number[];
  outputModes?: number[];
  rank: number[];
  blocks: number;
  batch: number;
  layer?: string;
  seed: number;
  threads?: number;
}

export function defineRanks(program: Command): void {
  const command = program
    .command('ranks [model]')
    .description('error, parameters, MACs and time of block-term forms of the layers of a model; without a model what a shape costs')
    .option('--layer <name>', 'only this layer')
    .option('--input-modes <sizes>', 'factors of the inputs, such as 8,20,20,18', sizeList)
    .option('--output-modes <sizes>', 'factors of the outputs, with the gates of a recurrent layer in the first', sizeList)
    .option('--rank <sizes>', 'core rank: one, or one for each mode', sizeList, [4])
    .option('--blocks <count>', 'number of blocks', positiveInteger, 2)
    .option('--batch <count>', 'samples of one forward pass', positiveInteger, 1)
    .option('--seed <number>', 'seed of the fits', integer, 1)
    .option('--threads <count>', 'threads of the runtime (default: physical cores)', positiveInteger);
  addJson(command).action((model: string | undefined, options: RankFlags) =>
    runCommand(options, async (io) => {
      if (model !== undefined) {
        const found = await rankModel(model, options, io);
        return { document: found, text: found.layers.map(describeLayer).join('\n\n') };
      }
      const { inputModes, outputModes } = options;
      if (!inputModes || !outputModes) throw new SurgeryError('option-invalid', 'ranks needs a model, or --input-modes and --output-modes');
      const cost = costOfShape({ ...options, inputModes, outputModes });
      return { document: cost, text: describeCost(cost) };
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

function describeLayer(layer: LayerRanks): string {
  const rows = layer.candidates.map((c) => [
    c.form,
    `${c.inputModes.join('×')} to ${c.outputModes.join('×')}`,
    c.ranks.join(','),
    String(c.blocks),
    c.error.toFixed(4),
    c.parameters,
    c.macs,
    c.milliseconds.toFixed(3),
    c.pareto ? '*' : '',
  ]);
  return [
    `${layer.layer} (${layer.op}): ${layer.inputs} inputs, ${layer.outputs} outputs, ${formatCount(layer.denseParameters)} parameters, ${formatCount(layer.denseMacs)} MACs, ${layer.denseMilliseconds.toFixed(3)} ms`,
    layer.verdict,
    formatTable(['form', 'modes', 'ranks', 'blocks', 'error', 'parameters', 'MACs', 'ms', 'best'], rows),
  ].join('\n');
}

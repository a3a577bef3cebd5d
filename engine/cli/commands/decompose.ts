import type { Command } from 'commander';
import { type DecomposeFlags, type DecomposeResult, decomposeModel } from '../../server/operations/decompose';
import { runCommand } from '../io';
import { type JsonOption, addJson, fraction, integer, positiveInteger, sizeList } from '../options';
import { formatBytes, formatCount } from '../table';

export function defineDecompose(program: Command): void {
  const command = program
    .command('decompose <model>')
    .description("replace a trained layer's weight by its block-term form")
    .requiredOption('--layer <name>', 'node, or name of its weight')
    .requiredOption('-o, --output <file>', 'where the model (or with --plan-only the plan) goes')
    .option('--input-modes <sizes>', 'factors of the inputs, such as 8,20,20,18', sizeList)
    .option('--output-modes <sizes>', 'factors of the outputs (of one gate in a recurrent layer)', sizeList)
    .option('--rank <sizes>', 'core rank: one, or one for each mode', sizeList)
    .option('--blocks <count>', 'number of blocks', positiveInteger)
    .option('--params <fraction>', "keep this fraction of the layer's parameters; modes, ranks and blocks are chosen", fraction)
    .option('--batch <count>', 'samples of a forward pass that the contraction order is chosen for', positiveInteger, 1)
    .option('--seed <number>', 'seed of the fit', integer, 1)
    .option('--threads <count>', 'threads of the runtime (default: physical cores)', positiveInteger)
    .option('--plan-only', 'write the plan, not the model');
  addJson(command).action((model: string, flags: JsonOption & DecomposeFlags) =>
    runCommand(flags, async (io) => {
      const result = await decomposeModel(model, flags, io);
      return { document: result, text: describe(result, flags.output) };
    }),
  );
}

function describe({ layer, choice, error, outputDifference, before, after }: DecomposeResult, output: string): string {
  const { inputModes, outputModes, ranks, blocks } = choice;
  return [
    `${layer}: modes ${inputModes.join('×')} to ${outputModes.join('×')}, rank ${ranks.join(',')}, ${blocks} ${blocks === 1 ? 'block' : 'blocks'}`,
    `keeps ${(100 * (1 - error ** 2)).toFixed(1)} % of the weight's energy (relative error ${error.toPrecision(3)}); outputs differ by ${outputDifference.toPrecision(2)} (relative)`,
    `${formatCount(before.parameters)} to ${formatCount(after.parameters)} parameters, ${formatCount(before.macs)} to ${formatCount(after.macs)} MACs, ${formatBytes(before.bytes)} to ${formatBytes(after.bytes)}, ${before.latencyMs.toFixed(2)} to ${after.latencyMs.toFixed(2)} ms a sample`,
    ...(after.latencyMs > before.latencyMs ? ['The network became smaller but not faster.'] : []),
    `Wrote ${output}`,
  ].join('\n');
}

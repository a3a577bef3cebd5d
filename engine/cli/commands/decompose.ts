import type { Command } from 'commander';
import type { RankBudget } from '../../contract/decomposition';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { SurgeryError } from '../../graph/errors';
import { type DecomposeFlags, type DecomposeResult, decomposeModel } from '../../server/operations/decompose';
import { budgetNetwork } from '../../server/operations/decomposeNetwork';
import { exportWeights } from '../../server/operations/stateDict';
import { writePlan } from '../../surgery/plan';
import { runCommand } from '../io';
import { type JsonOption, addDataOptions, addJson, fraction, integer, positiveInteger, sizeList } from '../options';
import { formatBytes, formatCount, formatPercent, formatTable } from '../table';

type Flags = JsonOption & Omit<DecomposeFlags, 'layer'> & { layer?: string; macs?: number; hiddenToHidden?: boolean };

export function defineDecompose(program: Command): void {
  const command = program
    .command('decompose <model>')
    .description("replace trained layers' weights by their block-term form: one layer, or all under one budget")
    .option('--layer <name>', 'node, or name of its weight (that of a hidden-to-hidden matrix for this); all layers when left out')
    .requiredOption('-o, --output <file>', 'where the model (or with --plan-only the plan) goes')
    .option('--input-modes <sizes>', 'factors of the inputs, such as 8,20,20,18', sizeList)
    .option('--output-modes <sizes>', 'factors of the outputs (of one gate in a recurrent layer)', sizeList)
    .option('--rank <sizes>', 'core rank: one, or one for each mode', sizeList)
    .option('--blocks <count>', 'number of blocks', positiveInteger)
    .option('--params <fraction>', 'keep this fraction of the parameters, of the layer or without --layer of the model', fraction)
    .option('--macs <fraction>', "without --layer: keep this fraction of the model's MACs", fraction)
    .option('--hidden-to-hidden', 'without --layer: replace hidden-to-hidden matrices, too')
    .option('--calibrate <count>', "match the layer's outputs on this many training samples of --data afterwards", positiveInteger)
    .option('--batch <count>', 'samples of a forward pass that the contraction order is chosen for', positiveInteger, 1)
    .option('--seed <number>', 'seed of the fit', integer, 1)
    .option('--weights <file.safetensors>', 'write the weights here too, under the names that the block-term layers in source have')
    .option('--plan-only', 'write the plan, not the model');
  addJson(addDataOptions(command, false)).action((model: string, flags: Flags) =>
    runCommand(flags, async (io) => {
      const { layer } = flags;
      if (layer !== undefined) {
        const result = await decomposeModel(model, { ...flags, layer }, io);
        return { document: result, text: describe(result, flags.output) };
      }
      const { params, macs, data, output } = flags;
      if ((params === undefined) === (macs === undefined) || data === undefined)
        throw new SurgeryError('option-invalid', 'decompose needs --layer, or --data with either --params or --macs for the whole model');
      if (flags.calibrate !== undefined) throw new SurgeryError('option-invalid', '--calibrate is for one --layer');
      const { graph, ...result } = await budgetNetwork(model, { ...flags, data }, io);
      if (flags.planOnly) await writePlan(result.plan, output);
      else await writeOnnx(graph, output);
      if (flags.weights) exportWeights(flags.weights, graph, new Map(), io);
      return { document: result, text: describeBudget(result, output) };
    }),
  );
}

function describe({ layer, choice, error, outputDifference, calibration, before, after }: DecomposeResult, output: string): string {
  const { inputModes, outputModes, ranks, blocks } = choice;
  return [
    `${layer}: modes ${inputModes.join('×')} to ${outputModes.join('×')}, rank ${ranks.join(',')}, ${blocks} ${blocks === 1 ? 'block' : 'blocks'}`,
    `keeps ${(100 * (1 - error ** 2)).toFixed(1)} % of the weight's energy (relative error ${error.toPrecision(3)}); outputs differ by ${outputDifference.toPrecision(2)} (relative)`,
    ...(calibration
      ? [
          `error of the layer's outputs on ${calibration.heldOut} held-out samples: ${calibration.before.toFixed(4)}, refined on ${calibration.samples - calibration.heldOut} others ${calibration.after.toFixed(4)}${calibration.kept ? '' : ', which is no better and was not kept'}`,
        ]
      : []),
    `${formatCount(before.parameters)} to ${formatCount(after.parameters)} parameters, ${formatCount(before.macs)} to ${formatCount(after.macs)} MACs, ${formatBytes(before.bytes)} to ${formatBytes(after.bytes)}, ${before.latencyMs.toFixed(2)} to ${after.latencyMs.toFixed(2)} ms a sample`,
    ...(after.latencyMs > before.latencyMs ? ['The network became smaller but not faster.'] : []),
    `Wrote ${output}`,
  ].join('\n');
}

function describeBudget({ layers, lossChange, before, after }: RankBudget, output: string): string {
  const rows = layers.map(({ layer, choice, error, denseParameters, parameters, lossChange: change }) => [
    layer,
    `${choice.inputModes.join('×')} to ${choice.outputModes.join('×')}`,
    choice.ranks.join(','),
    String(choice.blocks),
    error.toFixed(4),
    denseParameters,
    parameters,
    change.toExponential(1),
  ]);
  return [
    formatTable(['layer', 'modes', 'ranks', 'blocks', 'error', 'before', 'parameters', 'loss'], rows),
    `${formatCount(before.parameters)} to ${formatCount(after.parameters)} parameters, ${formatCount(before.macs)} to ${formatCount(after.macs)} MACs`,
    `held-out loss ${before.loss.toFixed(4)} to ${after.loss.toFixed(4)} (a change of ${lossChange.toFixed(4)} was estimated), accuracy ${formatPercent(before.accuracy)} to ${formatPercent(after.accuracy)}`,
    `Wrote ${output}`,
  ].join('\n');
}

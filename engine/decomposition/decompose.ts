import { createHash } from 'node:crypto';
import type { DecomposeOperation } from '../contract/plan';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { bytesOf, elementCount, type Tensor } from '../graph/tensor';
import type { Runtime } from '../runtime/runtime';
import type { Block } from './alternatingLeastSquares';
import { type BlockTermFit, type FitOptions, fitBlockTerm, fitTensor } from './fit';
import { type BlockTermShape, blockTermShape } from './layerForms';
import { type ReplaceableLayer, convolutionTensor, replaceableLayer, rowsOf, weightMatrix } from './replaceable';
import { convertToTrainingOpset } from '../autodiff/convertOpset';
import { OLDEST_OPSET, replaceConvolution, replaceLayer } from './replaceLayer';
import { blockTermForm } from './weightForm';

export interface Decomposed {
  readonly graph: Graph;
  readonly layer: ReplaceableLayer;
  readonly shape: BlockTermShape;
  /** ||W - fit|| / ||W||. */
  readonly error: number;
  readonly blocks: readonly Block[];
}

type Choice = Pick<DecomposeOperation['blockTerm'], 'inputModes' | 'outputModes' | 'ranks' | 'blocks'>;

/** Fits of this process, by weight, shape and seed: a plan that is shown again is not fitted again. */
const fits = new Map<string, BlockTermFit>();
const KEPT = 64;

/** Replaces one layer by its block-term form, fitted to the weight it has now. */
export async function decomposeLayer(
  runtime: Runtime,
  graph: Graph,
  layerName: string,
  choice: Choice & { readonly batch?: number },
  options: FitOptions = {},
): Promise<Decomposed> {
  const source = (graph.opsets.get('') ?? 1) < OLDEST_OPSET ? convertToTrainingOpset(graph) : graph;
  const layer = replaceableLayer(source, layerName);
  const shape = shapeFor(layer, choice);
  const fit = await fitLayer(runtime, source, layer, shape, options);
  const rows = rowsOf(source, layer) * (choice.batch ?? 1);
  return { graph: replaceByBlocks(source, layer, shape, fit.blocks, rows), layer, shape, error: fit.error, blocks: fit.blocks };
}

/** Writes the blocks of a fit in place of the layer's weight, for `rows` rows of a forward pass. */
export const replaceByBlocks = (
  graph: Graph,
  layer: ReplaceableLayer,
  shape: BlockTermShape,
  blocks: readonly Block[],
  rows: number,
): Graph =>
  layer.kind === 'convolution' ? replaceConvolution(graph, layer, blocks) : replaceLayer(graph, layer, blockTermForm(shape, blocks), rows);

/** Fits a layer's weight, or takes the fit that was made before. */
export async function fitLayer(
  runtime: Runtime,
  graph: Graph,
  layer: ReplaceableLayer,
  shape: BlockTermShape,
  options: FitOptions = {},
): Promise<BlockTermFit> {
  const tensor = graph.initializers.get(layer.weight) as Tensor;
  const content = createHash('sha256').update(bytesOf(tensor)).digest('hex');
  const key = JSON.stringify([content, shape, options.seed ?? 1, options.starts, options.sweeps, layer.kind]);
  const known = fits.get(key);
  if (known) return known;
  const fit =
    layer.kind === 'convolution'
      ? await fitTensor(runtime, convolutionTensor(graph, layer), shape, options)
      : await fitBlockTerm(runtime, padMatrix(weightMatrix(graph, layer), layer, shape), shape, options);
  fits.set(key, fit);
  const [oldest] = fits.keys();
  if (fits.size > KEPT && oldest !== undefined) fits.delete(oldest);
  return fit;
}

/**
 * The choice as a shape that fits the layer: the gates of a recurrent layer go into the first output mode when the modes make
 * one gate's outputs; a convolution's window becomes a third mode that stays whole.
 */
export function shapeFor(layer: ReplaceableLayer, { inputModes, outputModes, ranks, blocks }: Choice): BlockTermShape {
  const { inputs, outputs, gates, window } = layer;
  if (layer.kind === 'convolution') {
    const [inRank = 1, outRank = inRank] = ranks;
    if (inputModes.length > 2 || elementCount(inputModes) !== inputs || elementCount(outputModes) !== outputs)
      throw new SurgeryError(
        'option-invalid',
        `Layer ${layer.name} is a convolution: its modes are ${inputs} and ${outputs}, with one rank for each`,
      );
    return blockTermShape([inputs, 1, window], [1, outputs, 1], [inRank, outRank, window], blocks);
  }
  const [have, make] = [elementCount(outputModes), elementCount(inputModes)];
  const folded = gates > 1 && have < outputs ? [(outputModes[0] ?? 1) * gates, ...outputModes.slice(1)] : outputModes;
  if (make < inputs || elementCount(folded) < outputs || (folded[0] ?? 1) % gates !== 0)
    throw new SurgeryError(
      'option-invalid',
      `Modes ${inputModes.join(',')} and ${outputModes.join(',')} are too small for layer ${layer.name}, which has ${inputs} inputs and ${outputs} outputs${gates > 1 ? ` in ${gates} gates of ${outputs / gates}` : ''}`,
    );
  return blockTermShape(inputModes, folded, ranks.length === 1 ? (ranks[0] ?? 1) : ranks, blocks);
}

/** The matrix with rows of zeros below, and columns of zeros after every gate, as the modes ask for. */
export function padMatrix(matrix: Float32Array, { inputs, outputs, gates }: ReplaceableLayer, shape: BlockTermShape): Float32Array {
  const [rows, columns] = [elementCount(shape.inputModes), elementCount(shape.outputModes)];
  if (rows === inputs && columns === outputs) return matrix;
  const result = new Float32Array(rows * columns);
  const [narrow, wide] = [outputs / gates, columns / gates];
  for (let i = 0; i < inputs; i++)
    for (let g = 0; g < gates; g++)
      result.set(matrix.subarray(i * outputs + g * narrow, i * outputs + (g + 1) * narrow), i * columns + g * wide);
  return result;
}

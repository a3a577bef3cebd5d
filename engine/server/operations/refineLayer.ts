import { classifierInputs } from '../../autodiff/classifierInputs';
import { freeBatch } from '../../autodiff/freeBatch';
import type { Calibration } from '../../decomposition/calibrate';
import { MOST_BYTES, asSamples, calibrate, isolateLayer, withWeights } from '../../decomposition/calibrate';
import { type Decomposed, replaceByBlocks } from '../../decomposition/decompose';
import { type ReplaceableLayer, replaceableLayer } from '../../decomposition/replaceable';
import { SurgeryError } from '../../graph/errors';
import { type Graph, copyGraph } from '../../graph/graph';
import { type Tensor, elementCount, float32 } from '../../graph/tensor';
import { lengthsOf, reshapeTo } from '../../training/evaluate';
import { type DataFlags, openData, scoringBatches } from './data';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export interface RefineFlags {
  /** Training samples that the layer's outputs are matched on; a quarter of them is held out. */
  readonly samples: number;
  readonly batch: number;
  readonly seed: number;
}

const BATCH = 32;

/** Matches the outputs of a decomposed layer to those of the original on training samples. */
export async function refineLayer(
  original: Graph,
  decomposed: Decomposed,
  flags: RefineFlags & DataFlags & { threads?: number },
  context: OperationContext = {},
): Promise<{ graph: Graph; calibration: Calibration }> {
  const { layer, shape, blocks } = decomposed;
  const x = await layerInputs(original, layer, flags, context);
  const isolated = isolateLayer(original, layer, x.dims.slice(1));
  const alone = replaceableLayer(isolated, layer.name);
  const rows = flags.batch * elementCount(x.dims.slice(1, layer.kind === 'convolution' ? 1 : -1));
  const replaced = replaceByBlocks(isolated, alone, shape, blocks, rows);
  const { weights, ...calibration } = await calibrate(runtime(), isolated, replaced, x, {
    seed: flags.seed,
    threads: flags.threads,
    signal: context.signal,
    onProgress: (done, total, message) => context.progress?.(done, total, 'steps', message),
  });
  return { graph: withWeights(decomposed.graph, original, weights), calibration };
}

/** What a layer is given for training samples, [N, ...]. */
async function layerInputs(
  graph: Graph,
  layer: ReplaceableLayer,
  { samples, seed, threads, ...data }: RefineFlags & DataFlags & { threads?: number },
  context: OperationContext,
): Promise<Tensor & { data: Float32Array }> {
  const value = layer.node.inputs[0] ?? '';
  const { x: input, lengths: ends } = classifierInputs(graph);
  const batch = Math.min(BATCH, samples);
  const probe = copyGraph(freeBatch(graph, input, batch));
  if (value !== input.name) probe.outputs = [{ name: value, type: 'float32' }];
  const program = await runtime().compile(probe, { threads });
  const parts: (Tensor & { data: Float32Array })[] = [];
  let [count, bytes] = [0, 0];
  try {
    const opened = await openData(data);
    for await (const given of scoringBatches(opened, data, batch, seed)) {
      const x = reshapeTo(given.x, input.shape?.length);
      const feeds = new Map([[input.name, x]]);
      if (ends) feeds.set(ends.name, lengthsOf(ends, x, given.lengths));
      const found = value === input.name ? x : ((await program.run(feeds, { signal: context.signal })).get(value) as Tensor);
      parts.push(asSamples({ ...found, data: Float32Array.from(found.data as Float32Array) }, layer));
      count += parts.at(-1)?.dims[0] ?? 0;
      bytes += 4 * found.data.length;
      if (count >= samples || bytes >= MOST_BYTES) break;
    }
  } finally {
    program.dispose();
  }
  const [first] = parts;
  if (!first) throw new SurgeryError('data-malformed', `${data.data} has no training samples to calibrate with`);
  if (count < samples) context.log?.(`Calibrating with ${count} samples: ${bytes >= MOST_BYTES ? 'the layer has large inputs' : 'the data has no more'}`); // prettier-ignore
  const joined = float32([count, ...first.dims.slice(1)]);
  parts.reduce((at, part) => (joined.data.set(part.data, at), at + part.data.length), 0);
  return joined;
}

import type { Perturbation, SiteContext } from '../../autodiff/perturbation';
import { type TrainingGraph, buildTrainingGraph, initialState } from '../../autodiff/trainingGraph';
import type { FeatureMapOptions, FeatureMaps } from '../../contract/noise';
import { batches } from '../../datasets/batches';
import { type Dataset, subset } from '../../datasets/dataset';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { sitesOf } from '../../robustness/noise/insertionPoints';
import type { Batch } from '../../training/evaluate';
import { drawInto } from '../../training/drawRandom';
import { type DataFlags, openData } from './data';
import type { EvaluateFlags } from './evaluate';
import { loadModel } from './loadModel';
import { perturbationFor } from './noise';
import { runtime } from './runtime';

/** The image is seen among others, because batch norm takes its statistics from a batch while training. */
const BATCH = 32;
/** Part of the present deviation that the running one takes in a step. */
const FOLLOWED = 0.1;
const SEED = 1;

/** One layer's channels for one test image as training sees them, without and with noise in all its layers. */
export async function featureMaps(file: string, options: FeatureMapOptions & EvaluateFlags): Promise<FeatureMaps> {
  const { graph } = await loadModel(file, options.plan);
  const data = await openData(options);
  const batch = await batchFrom(data, options);
  const [site] = sitesOf(graph, [options.layer]);
  const perturbation = perturbationFor(graph, options.noise, data, options);
  if (!site || !perturbation) throw new SurgeryError('option-invalid', 'Feature maps need a layer and a kind of noise');
  const [clean] = await runTwice(graph, batch, undefined, () => site.value);
  const seen = new Map<string, string>();
  const watched: Perturbation = {
    ...perturbation,
    perturb(context: SiteContext) {
      const perturbed = perturbation.perturb(context);
      seen.set(context.site.value, perturbed);
      return perturbed;
    },
  };
  const last = (training: TrainingGraph): string => seen.get(site.value) ?? lastPassOf(training, site.value);
  const [noisy, reports] = await runTwice(graph, batch, watched, last);
  return { layer: options.layer, label: Number(batch.y.data[0]), ...pictures(clean, noisy, options.channels ?? 8), noise: reports };
}

/** A value's name in the second pass, where the layer takes no noise of its own. */
const lastPassOf = (training: TrainingGraph, value: string): string =>
  training.graph.nodes.some((node) => node.outputs.includes(`perturbed/${value}`)) ? `perturbed/${value}` : value;

async function batchFrom(data: Dataset, { sample, mean, std, raw }: { sample: number } & DataFlags): Promise<Batch> {
  const { count } = data.test;
  if (!(Number.isInteger(sample) && sample >= 0 && sample < count))
    throw new SurgeryError('option-invalid', `There is no test image ${sample}; they are numbered 0 to ${count - 1}`);
  const chosen = subset(
    data.test,
    Uint32Array.from({ length: Math.min(BATCH, count) }, (_, i) => (sample + i) % count),
  );
  for await (const batch of batches(chosen, { batch: chosen.count, mean, std, raw })) return batch;
  throw new SurgeryError('data-malformed', 'The data has no test images');
}

/** The first step has no noise; in the second the running deviation is what the first measured. */
async function runTwice(
  graph: Graph,
  { x, y }: Batch,
  perturbation: Perturbation | undefined,
  wanted: (training: TrainingGraph) => string,
): Promise<[Tensor, Record<string, number>]> {
  const training = buildTrainingGraph(graph, { batch: x.dims[0] ?? 1, training: true, parameters: [], perturbation });
  const output = wanted(training);
  training.graph.outputs.push({ name: output, type: 'float32' });
  const program = await runtime().compile(training.graph);
  try {
    const feeds = new Map<string, Tensor>([...initialState(training.state), [training.x, x], [training.y, y]]);
    for (const name of training.updated.keys()) feeds.set(name, graph.initializers.get(name) as Tensor);
    training.randoms.forEach(({ input, dims, distribution }, i) => {
      const data = new Float32Array(dims.reduce((n, d) => n * d, 1));
      drawInto(data, distribution, [SEED, i]);
      feeds.set(input, { type: 'float32', dims, data });
    });
    const first = await program.run(feeds);
    for (const { input, output: next, dims } of training.state) {
      const tensor = first.get(next) as Tensor & { data: Float32Array };
      feeds.set(input, dims.length === 0 ? { ...tensor, data: tensor.data.map((v) => v / FOLLOWED) } : tensor);
    }
    const second = await program.run(feeds);
    const reports = [...training.reports].map(([layer, name]) => [layer, Number(second.get(name)?.data[0])] as const);
    return [second.get(output) as Tensor, Object.fromEntries(reports)];
  } finally {
    program.dispose();
  }
}

/** Channels of the batch's first sample in 256 greys: both sides on one scale, their difference around the middle. */
function pictures(clean: Tensor, noisy: Tensor, channels: number): Pick<FeatureMaps, 'height' | 'width' | 'channels'> {
  const [, count = 1, height = 1, width = 1] = clean.dims;
  const size = height * width;
  const of = (tensor: Tensor, c: number): Float32Array => (tensor.data as Float32Array).subarray(c * size, (c + 1) * size);
  const shown = Array.from({ length: Math.min(channels, count) }, (_, c) => {
    const [a, b] = [of(clean, c), of(noisy, c)];
    const difference = b.map((v, i) => v - (a[i] ?? 0));
    const [low, high] = [Math.min(...a, ...b), Math.max(...a, ...b)];
    const largest = difference.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    return {
      clean: greys(a, low, high),
      noisy: greys(b, low, high),
      difference: greys(difference, -largest, largest),
      largest: high > low ? largest / (high - low) : 0,
    };
  });
  return { height, width, channels: shown };
}

const greys = (values: Float32Array, low: number, high: number): string =>
  Buffer.from(Uint8Array.from(values, (v) => (high > low ? (255 * (v - low)) / (high - low) : 128))).toString('base64');

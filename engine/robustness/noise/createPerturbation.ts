import type { Perturbation, Site } from '../../autodiff/perturbation';
import type { NoiseMethod, NoiseOptions } from '../../contract/noise';
import { SurgeryError } from '../../graph/errors';
import { type Graph, feedsOf } from '../../graph/graph';
import { inferShapes } from '../../ops/inferShapes';
import { type PixelBox, adversarialInputs } from './adversarialInputs';
import { adversarialNoise } from './adversarialNoise';
import { classwiseNoise, storedBytes } from './classwiseNoise';
import { inputSite, sitesOf } from './insertionPoints';
import { dropoutNoise, gaussianNoise, randomSignNoise } from './randomNoise';

export const NOISE_METHODS: readonly NoiseMethod[] = ['anl', 'canl', 'gaussian', 'dropout', 'random-sign', 'adversarial'];

/** Of the official configurations' 0.05 (VGG16) and 0.02 the first; customary values for the others. */
export const DEFAULT_EPSILON: Readonly<Record<NoiseMethod, number>> = {
  anl: 0.05,
  canl: 0.05,
  gaussian: 0.05,
  'random-sign': 0.05,
  dropout: 0.1,
  adversarial: 8 / 255,
};

/** What class-wise noise may store; more must be asked for by other means. */
const LARGEST_STORE = 2 ** 30;

/**
 * The perturbation that the options describe on a network.
 *
 * @param pixels bounds of the data and the length of one unit as the network sees them; only adversarial inputs ask
 * @throws SurgeryError 'option-invalid' for a layer, strength or memory that cannot be
 */
export function createPerturbation(graph: Graph, options: NoiseOptions, pixels: (epsilon: number) => PixelBox): Perturbation {
  const { method, epsilon = DEFAULT_EPSILON[method], scale } = options;
  if (method === 'adversarial') {
    if (options.layers) throw new SurgeryError('option-invalid', '--noise adversarial perturbs the input; leave --noise-layers out');
    return adversarialInputs(inputSite(graph), pixels(epsilon));
  }
  const sites = sitesOf(graph, options.layers);
  switch (method) {
    case 'anl':
      return adversarialNoise(sites, epsilon, scale);
    case 'canl': {
      const { kept = 0, buffers = 'full' } = options;
      if (!(kept >= 0 && kept < 1)) throw new SurgeryError('option-invalid', `--noise-kept ${kept} must be at least 0 and below 1`);
      checkStore(graph, sites, buffers);
      return classwiseNoise(sites, { epsilon, scale, kept, buffers });
    }
    case 'gaussian':
      return gaussianNoise(sites, epsilon);
    case 'random-sign':
      return randomSignNoise(sites, epsilon);
    case 'dropout':
      if (!(epsilon >= 0 && epsilon < 1))
        throw new SurgeryError('option-invalid', `--epsilon ${epsilon}: dropout takes a probability of at least 0 and below 1`);
      return dropoutNoise(sites, epsilon);
  }
}

function checkStore(graph: Graph, sites: readonly Site[], buffers: 'full' | 'channel-mean'): void {
  const bytes = storeBytes(graph, sites, buffers);
  if (bytes <= LARGEST_STORE) return;
  const smaller = buffers === 'full' ? '--noise-buffers channel-mean or fewer --noise-layers' : 'fewer --noise-layers';
  throw new SurgeryError(
    'option-invalid',
    `Class-wise noise would store ${(bytes / 2 ** 30).toFixed(1)} GiB of gradients, more than 1 GiB; use ${smaller}`,
  );
}

/** Bytes of the gradients that class-wise noise stores for all sites. */
export function storeBytes(graph: Graph, sites: readonly Site[], buffers: 'full' | 'channel-mean'): number {
  const input = feedsOf(graph)[0];
  const fixed = new Map(input?.shape ? [[input.name, input.shape.map((d, i) => (i === 0 && typeof d !== 'number' ? 1 : d))]] : []);
  const { types } = inferShapes(graph, fixed);
  const classes = types.get(graph.outputs[0]?.name ?? '')?.shape?.[1];
  return sites.reduce((bytes, site) => {
    const shape = types.get(site.value)?.shape;
    if (typeof classes !== 'number' || !shape?.every((d) => typeof d === 'number')) return bytes;
    return bytes + storedBytes(shape, classes, buffers);
  }, 0);
}

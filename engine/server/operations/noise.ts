import type { Perturbation } from '../../autodiff/perturbation';
import type { NoiseOptions } from '../../contract/noise';
import { type SampleForm, channelsOf } from '../../datasets/dataset';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import type { PixelBox } from '../../robustness/noise/adversarialInputs';
import { createPerturbation } from '../../robustness/noise/createPerturbation';
import type { DataFlags } from './data';

type Scaling = Pick<DataFlags, 'mean' | 'std' | 'raw'>;

/** The perturbation for training `graph` on this data, or none without options; made again whenever the graph has changed. */
export function perturbationFor(
  graph: Graph,
  noise: NoiseOptions | undefined,
  form: SampleForm,
  scaling: Scaling,
): Perturbation | undefined {
  return noise && createPerturbation(graph, noise, (epsilon) => pixelBox(epsilon, noise, form, scaling));
}

/** The bounds of the data and a step of `epsilon` after normalisation, channel by channel. */
function pixelBox(epsilon: number, { range }: NoiseOptions, form: SampleForm, { mean = [0], std = [1], raw }: Scaling): PixelBox {
  if (!range && form.element !== 'uint8')
    throw new SurgeryError(
      'option-invalid',
      '--noise adversarial: give --noise-range LOW,HIGH, the bounds of data that are not 8-bit images',
    );
  const [low, high] = range ?? [0, raw ? 255 : 1];
  const channels = Array.from({ length: mean.length === 1 && std.length === 1 ? 1 : channelsOf(form) }, (_, c) => ({
    mean: mean[mean.length === 1 ? 0 : c] ?? 0,
    std: std[std.length === 1 ? 0 : c] ?? 1,
  }));
  return {
    channelAxis: form.layout === 'TF' ? 'last' : 'first',
    step: channels.map((c) => epsilon / Math.abs(c.std)),
    lowest: channels.map((c) => (low - c.mean) / c.std),
    highest: channels.map((c) => (high - c.mean) / c.std),
  };
}

import type { Perturbation, Site } from '../../autodiff/perturbation';
import { rootMeanSquare } from './noiseScale';

/** The values that pixels may have, and a step in pixels, as the network sees them: one number a channel, or one for all. */
export interface PixelBox {
  readonly channelAxis: 'first' | 'last';
  readonly step: readonly number[];
  readonly lowest: readonly number[];
  readonly highest: readonly number[];
}

/**
 * Adversarial training (Goodfellow et al. 2015): each step trains on FGSM inputs, clip(x + step * sign(dL/dx)), of the batch.
 * There is no share of clean inputs.
 */
export function adversarialInputs(input: Site, box: PixelBox): Perturbation {
  return {
    sites: [input],
    needsCleanGradients: true,
    perturb(context) {
      const { emitter, value } = context;
      const sample = emitter.shape(value).slice(1);
      const channel = box.channelAxis === 'first' ? 0 : sample.length - 1;
      const dimsOf = (count: number): number[] => sample.map((_, i) => (i === channel ? count : 1));
      const channels = (values: readonly number[]): string => emitter.floats(dimsOf(values.length), values);
      const step = emitter.emit('Mul', [emitter.emit('Sign', [context.cleanGradient ?? '']), channels(box.step)]);
      const moved = emitter.emit('Add', [value, step]);
      const clipped = emitter.emit('Max', [emitter.emit('Min', [moved, channels(box.highest)]), channels(box.lowest)]);
      context.report(rootMeanSquare(context, emitter.emit('Sub', [clipped, value])));
      return clipped;
    },
  };
}

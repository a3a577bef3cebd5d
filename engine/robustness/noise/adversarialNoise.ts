import type { Perturbation, Site } from '../../autodiff/perturbation';
import { type GradientScale, addNoise, drawMagnitude, followDeviation, normalisedNoise } from './noiseScale';

/**
 * The Adversarial Noise Layer (You et al. 2018, arXiv 1805.08000; the official code's `models/anl.py` and `trainer.py`): two passes
 * on the same batch. The gradient of the clean one, divided by its largest element per sample and scaled by the running deviation, is
 * added in the second as a constant. The first step has no noise, because the deviation starts at zero. A negative epsilon descends.
 *
 * @param scale the official code divides by the largest element with its sign, so that a sample whose gradient has no positive element
 * gets noise of the other sign; 'abs-max' divides by the largest magnitude
 */
export function adversarialNoise(sites: readonly Site[], epsilon: number, scale: GradientScale = 'signed-max'): Perturbation {
  return {
    sites,
    needsCleanGradients: true,
    perturb(context) {
      const magnitude = drawMagnitude(context, epsilon, followDeviation(context));
      return addNoise(context, normalisedNoise(context, context.cleanGradient ?? '', magnitude, scale));
    },
  };
}

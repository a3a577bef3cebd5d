import type { Perturbation, Site } from '../../autodiff/perturbation';
import { addNoise, drawMagnitude, followDeviation, rootMeanSquare } from './noiseScale';

/** z * eps * deviation with an independent z ~ N(0, 1) for each element, in the same unit as adversarial noise. */
export function gaussianNoise(sites: readonly Site[], epsilon: number): Perturbation {
  return {
    sites,
    needsCleanGradients: false,
    perturb(context) {
      const { emitter } = context;
      const scale = emitter.emit('Mul', [followDeviation(context), emitter.scalar(epsilon)]);
      const z = context.random('normal', emitter.shape(context.value), { kind: 'normal' });
      return addNoise(context, emitter.emit('Mul', [z, scale]));
    },
  };
}

/** A random sign for each element with the magnitude r_b that adversarial noise draws for the sample. */
export function randomSignNoise(sites: readonly Site[], epsilon: number): Perturbation {
  return {
    sites,
    needsCleanGradients: false,
    perturb(context) {
      const { emitter } = context;
      const magnitude = drawMagnitude(context, epsilon, followDeviation(context));
      const sign = context.random('sign', emitter.shape(context.value), { kind: 'sign' });
      return addNoise(context, emitter.emit('Mul', [sign, magnitude]));
    },
  };
}

/** Dropout of single elements with probability `ratio` (Srivastava et al. 2014) where the other methods put noise. */
export function dropoutNoise(sites: readonly Site[], ratio: number): Perturbation {
  return {
    sites,
    needsCleanGradients: false,
    perturb(context) {
      const { emitter, value } = context;
      const mask = context.random('mask', emitter.shape(value), { kind: 'dropout', ratio });
      const dropped = emitter.emit('Mul', [value, mask]);
      context.report(rootMeanSquare(context, emitter.emit('Sub', [dropped, value])));
      return dropped;
    },
  };
}

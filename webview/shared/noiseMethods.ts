import type { NoiseMethod } from '../../engine/contract/noise';

/** Kinds of noise with their names and a strength to begin with. */
export const NOISE_METHODS: readonly (readonly [NoiseMethod, string, string])[] = [
  ['anl', 'Adversarial noise layers', '0.05'],
  ['canl', 'Class-wise (reconstructed)', '0.05'],
  ['gaussian', 'Gaussian', '0.05'],
  ['random-sign', 'Random sign', '0.05'],
  ['dropout', 'Dropout', '0.1'],
  ['adversarial', 'Adversarial inputs', '0.031'],
];

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { NoiseMethod, NoiseOptions } from '../contract/noise';
import { SurgeryError } from '../graph/errors';
import { DEFAULT_EPSILON, NOISE_METHODS } from '../robustness/noise/createPerturbation';
import { nonNegative, numberList } from './options';

export interface NoiseFlags {
  noise?: NoiseMethod;
  epsilon?: number;
  noiseLayers?: string[];
  noiseScale?: 'signed-max' | 'abs-max';
  noiseKept?: number;
  noiseBuffers?: 'full' | 'channel-mean';
  noiseRange?: number[];
}

/** The options of every command that trains. */
export function addNoiseOptions(command: Command): Command {
  const defaults = NOISE_METHODS.map((method) => `${method} ${DEFAULT_EPSILON[method].toPrecision(2)}`).join(', ');
  return command
    .addOption(
      new Option(
        '--noise <method>',
        'noise while training: adversarial noise layers, class-wise ones (reconstructed), or what they are compared with',
      ).choices(NOISE_METHODS),
    )
    .option('--epsilon <strength>', `strength of the noise (default: ${defaults})`, anyNumber)
    .option('--noise-layers <names>', 'layers whose outputs take noise (default: normalised outputs before an activation)', nameList)
    .addOption(new Option('--noise-scale <by>', 'what a gradient is divided by (default: signed-max)').choices(['signed-max', 'abs-max']))
    .option('--noise-kept <part>', 'canl: part of the stored gradient kept at an update (default: 0)', nonNegative)
    .addOption(new Option('--noise-buffers <kind>', 'canl: what is stored of a gradient (default: full)').choices(['full', 'channel-mean']))
    .option('--noise-range <low,high>', 'adversarial: bounds of data that are not 8-bit images', numberList);
}

export function noiseOptionsOf(flags: NoiseFlags): NoiseOptions | undefined {
  const { noise, epsilon, noiseLayers, noiseScale, noiseKept, noiseBuffers, noiseRange } = flags;
  if (!noise) {
    const used = Object.entries({
      '--epsilon': epsilon,
      '--noise-layers': noiseLayers,
      '--noise-scale': noiseScale,
      '--noise-kept': noiseKept,
      '--noise-buffers': noiseBuffers,
      '--noise-range': noiseRange,
    }).find(([, value]) => value !== undefined);
    if (used) throw new SurgeryError('option-invalid', `${used[0]} needs --noise`);
    return undefined;
  }
  if (noiseRange && noiseRange.length !== 2) throw new SurgeryError('option-invalid', '--noise-range takes two numbers, LOW,HIGH');
  return {
    method: noise,
    epsilon,
    layers: noiseLayers,
    scale: noiseScale,
    kept: noiseKept,
    buffers: noiseBuffers,
    range: noiseRange && [noiseRange[0] as number, noiseRange[1] as number],
  };
}

function anyNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

function nameList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.some((name) => name === '')) throw new InvalidArgumentError('It must be names with commas between them.');
  return names;
}

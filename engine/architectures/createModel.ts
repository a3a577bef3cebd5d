import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { alexnet, mlp, mobilenetV2, smallCnn, vgg16 } from './plainNetworks';
import { RECURRENT, recurrentClassifier } from './recurrent';
import { visionTransformer } from './visionTransformer';
import { IMAGENET_BLOCKS, cifarResnet, imagenetResnet, wideResnet } from './resnet';

export interface ArchitectureOptions {
  /** Channels, height, width; steps, features of recurrent networks. */
  readonly input: readonly number[];
  readonly classes: number;
  /** Shortcut of the small ResNets where the size changes: padded identity (A) or convolution (B). */
  readonly shortcut?: 'pad' | 'conv';
  /** Hidden units of recurrent networks. */
  readonly hidden?: number;
  /** Whether a recurrent network takes the lengths of its sequences. */
  readonly lengths?: boolean;
  /** Factors of the features and of the hidden units, core rank and blocks of a factored recurrent network. */
  readonly inputModes?: readonly number[];
  readonly outputModes?: readonly number[];
  readonly rank?: number;
  readonly blocks?: number;
  /** Deviation of the represented input matrix at the start, in units of Glorot's. */
  readonly gain?: number;
  /** Probability of dropping a feature, and a unit of the last state, while training. */
  readonly dropout?: number;
  /** Side of the square patches of a vision transformer. */
  readonly patch?: number;
  readonly seed: number;
}

const PLAIN: Readonly<Record<string, (options: ArchitectureOptions) => Graph>> = {
  'vgg16-bn': vgg16,
  alexnet,
  'mobilenet-v2': mobilenetV2,
  'small-cnn': smallCnn,
  mlp,
  'vit-tiny': visionTransformer,
};

export const ARCHITECTURES = [
  'resnet20 (and any depth 6n + 2)',
  'resnet18|34|50|101|152',
  'wrn-28-10 (and any depth 6n + 4)',
  ...Object.keys(PLAIN),
  ...RECURRENT,
];

/** A fresh network of a named architecture with logits as its output, opset 17, symbolic batch. */
export function createModel(name: string, options: ArchitectureOptions): Graph {
  if (RECURRENT.includes(name)) return recurrentClassifier(name, options);
  if (options.input.length !== 3)
    throw new SurgeryError('option-invalid', `--input ${options.input.join(',')} must be channels,height,width`);
  const plain = PLAIN[name];
  if (plain) return plain(options);
  const depth = Number(/^resnet-?(\d+)$/.exec(name)?.[1]);
  if (IMAGENET_BLOCKS[depth]) return imagenetResnet(depth, options);
  if (depth >= 8 && (depth - 2) % 6 === 0) return cifarResnet(depth, options);
  const wide = /^wrn-(\d+)-(\d+)$/.exec(name);
  if (wide && (Number(wide[1]) - 4) % 6 === 0) return wideResnet(Number(wide[1]), Number(wide[2]), options);
  throw new SurgeryError('option-invalid', `Architecture ${name} is unknown; choose one of ${ARCHITECTURES.join(', ')}`);
}

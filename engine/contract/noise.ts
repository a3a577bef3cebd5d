import type { SurgeryPlan } from './plan';
import type { DataOptions } from './protocol';

/** Noise while training; 'canl' is a reconstruction, since its paper's algorithm could not be read. */
export type NoiseMethod = 'anl' | 'canl' | 'gaussian' | 'dropout' | 'random-sign' | 'adversarial';

/** Every training command takes this, and what it trains keeps nothing of it. */
export interface NoiseOptions {
  readonly method: NoiseMethod;
  /**
   * Strength: in deviations of the layer's output ('anl', 'canl', 'gaussian', 'random-sign'; below zero it descends the loss), probability
   * ('dropout'), or a step in the data's units before mean and deviation ('adversarial').
   */
  readonly epsilon?: number;
  /** Layers whose outputs take noise; chosen by themselves when left out. */
  readonly layers?: readonly string[];
  /** What a sample's gradient is divided by: its largest element with its sign, as in the official code, or its largest magnitude. */
  readonly scale?: 'signed-max' | 'abs-max';
  /** 'canl': part of a class's stored gradient that is kept when a new one comes; 0 replaces it. */
  readonly kept?: number;
  /** 'canl': what is stored of a gradient. */
  readonly buffers?: 'full' | 'channel-mean';
  /** 'adversarial': least and largest value of the data, where they are not those of 8-bit images. */
  readonly range?: readonly [number, number];
}

/** Root mean square of the noise that each layer took, in units of its output, or of the input. */
export type NoiseMagnitudes = Readonly<Record<string, number>>;

export interface FeatureMapOptions {
  readonly noise: NoiseOptions;
  readonly layer: string;
  /** Position of a test image. */
  readonly sample: number;
  /** At most so many channels; 8 when left out. */
  readonly channels?: number;
}

/** Pictures of one layer's channels, one byte a position in base64, row by row. */
export interface FeatureMaps {
  readonly layer: string;
  /** Class of the image. */
  readonly label: number;
  readonly height: number;
  readonly width: number;
  readonly channels: readonly {
    readonly clean: string;
    readonly noisy: string;
    /** Middle grey where nothing changes. */
    readonly difference: string;
    /** Largest difference as a part of the channel's range. */
    readonly largest: number;
  }[];
  readonly noise: NoiseMagnitudes;
}

export interface NoiseRequests {
  'noise/featureMaps': { params: { path: string; plan?: SurgeryPlan } & DataOptions & FeatureMapOptions; result: FeatureMaps };
}

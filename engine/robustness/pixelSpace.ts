import { elementCount } from '../graph/tensor';

/** How the network's input comes from the values that an attack may change: x = (value - mean) / std, channel by channel. */
export interface InputScaling {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Shape of one sample, and whether its channels are the first axis or the last. */
  readonly sampleShape: readonly number[];
  readonly channelAxis: 'first' | 'last';
  /** Least and largest value; unbounded when left out. */
  readonly range?: readonly [number, number];
}

/** The values of a batch before normalisation, where radii mean the same for every channel and bounds are those of an image. */
export class PixelSpace {
  /** Elements of one sample. */
  readonly size: number;
  private readonly mean: Float64Array;
  private readonly std: Float64Array;
  private readonly low: number;
  private readonly high: number;

  constructor({ mean, std, sampleShape, channelAxis, range = [-Infinity, Infinity] }: InputScaling) {
    this.size = elementCount(sampleShape);
    const channels = (channelAxis === 'first' ? sampleShape[0] : sampleShape.at(-1)) ?? 1;
    const each = this.size / channels;
    const channelOf = (i: number): number => (channelAxis === 'first' ? Math.floor(i / each) : i % channels);
    const spread = (list: readonly number[]): Float64Array =>
      Float64Array.from({ length: this.size }, (_, i) => list[list.length === 1 ? 0 : channelOf(i)] ?? 0);
    this.mean = spread(mean);
    this.std = spread(std);
    [this.low, this.high] = range;
  }

  fromNetwork(x: Float32Array): Float32Array {
    return x.map((v, i) => v * this.stdAt(i) + (this.mean[i % this.size] as number));
  }

  toNetwork(values: Float32Array): Float32Array {
    return values.map((v, i) => (v - (this.mean[i % this.size] as number)) / this.stdAt(i));
  }

  /** The gradient with respect to the values, from the one with respect to the network's input (chain rule). */
  gradient(ofInput: Float32Array): Float32Array {
    return ofInput.map((g, i) => g / this.stdAt(i));
  }

  clip(value: number): number {
    return Math.min(this.high, Math.max(this.low, value));
  }

  private stdAt(i: number): number {
    return this.std[i % this.size] as number;
  }
}

import { elementCount } from '../graph/tensor';

/** What the axes of one sample mean: channel, height, width; time, feature; or a plain list of features. */
export type SampleLayout = 'CHW' | 'TF' | 'F';

/** Labelled samples of one shape. */
export interface Split {
  readonly count: number;
  /** Class of each sample, from 0. */
  readonly labels: Int32Array;
  /** Elements of sample `i` in row-major order of the sample shape; valid until the next call. 8-bit samples hold 0 to 255. */
  read(i: number): Uint8Array | Float32Array;
}

export interface Dataset {
  readonly name: string;
  readonly classes: readonly string[];
  readonly layout: SampleLayout;
  readonly sampleShape: readonly number[];
  /** Elements as stored; 8-bit elements are divided by 255 unless raw values are asked for. */
  readonly element: 'uint8' | 'float32';
  readonly train: Split;
  readonly test: Split;
  /** What was found and decided: format, layout on disk, how the split was made. */
  readonly notes: readonly string[];
}

export interface OpenOptions {
  /** Fraction of the samples held out for testing where the data has no test split of its own; 0.2 by default, 0 tests on everything. */
  readonly holdout?: number;
  /** Height and width that images of a folder are scaled and cropped to; by default all must have the size of the first. */
  readonly imageSize?: readonly [number, number];
  /** Order of the axes of image arrays in an .npz; told from the shape by default. */
  readonly axes?: 'CHW' | 'HWC' | 'TF';
}

/** Number of channels that --mean and --std speak of, and elements between two of one channel. */
export function channelsOf(layout: SampleLayout, shape: readonly number[]): { channels: number; inner: number } {
  if (layout === 'CHW') return { channels: shape[0] ?? 1, inner: elementCount(shape.slice(1)) };
  return { channels: shape.at(-1) ?? 1, inner: 1 };
}

/** Samples that lie one after the other in one array. */
export function arraySplit(data: Uint8Array | Float32Array, labels: Int32Array): Split {
  const size = labels.length === 0 ? 0 : data.length / labels.length;
  return { count: labels.length, labels, read: (i) => data.subarray(i * size, (i + 1) * size) };
}

/** The samples at the given positions. */
export function subset(split: Split, positions: Uint32Array): Split {
  const labels = Int32Array.from(positions, (p) => split.labels[p] ?? 0);
  return { count: positions.length, labels, read: (i) => split.read(positions[i] ?? 0) };
}

/** The first `count` samples, or all. */
export function firstOf(split: Split, count = Infinity): Split {
  if (count >= split.count) return split;
  return { count, labels: split.labels.subarray(0, count), read: (i) => split.read(i) };
}

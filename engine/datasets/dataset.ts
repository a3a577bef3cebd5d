import { elementCount } from '../graph/tensor';

/** What the axes of one sample mean: channel, height, width; time, feature; or a plain list of features. */
export type SampleLayout = 'CHW' | 'TF' | 'F';

/** What one sample looks like. */
export interface SampleForm {
  readonly layout: SampleLayout;
  readonly sampleShape: readonly number[];
  /** Elements as stored; 8-bit elements are divided by 255 unless raw values are asked for. */
  readonly element: 'uint8' | 'float32';
}

/** How pictures become planes R, G, B. */
export interface PictureForm {
  /** Height and width that they are scaled and cropped to. */
  readonly size: readonly [number, number];
  /** Refuses pictures of another size. */
  readonly exact: boolean;
}

/** Samples that are decoded from picture files: what it takes to read them on another thread. */
export interface EncodedSamples extends PictureForm {
  /** Files of sample `i`: one picture, or the frames of a clip. */
  files(i: number): readonly string[];
}

/** Labelled samples of one form. */
export interface Split extends SampleForm {
  readonly count: number;
  /** Class of each sample, from 0. */
  readonly labels: Int32Array;
  /** Steps of each sequence that are data; what follows is filled up with zeros. Left out where all are. */
  readonly lengths?: Int32Array;
  /** Elements of sample `i` in row-major order of the sample shape; valid until the next call. 8-bit samples hold 0 to 255. */
  read(i: number): Uint8Array | Float32Array;
  readonly encoded?: EncodedSamples;
}

export interface Dataset extends SampleForm {
  readonly name: string;
  readonly classes: readonly string[];
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
  /** Order of the axes of image arrays; told from the shape by default. */
  readonly axes?: 'CHW' | 'HWC' | 'TF';
  /** Frames of a clip; and how far apart the windows begin that are cut from longer recordings. */
  readonly frames?: number;
  readonly stride?: number;
  /** Whose recordings are held out for testing, where the data tells who is in them. */
  readonly test?: readonly string[];
}

/** A data set from its splits, which have the same form. */
export function datasetOf(name: string, classes: readonly string[], train: Split, test: Split, notes: readonly string[]): Dataset {
  const { layout, sampleShape, element } = train;
  return { name, classes, layout, sampleShape, element, train, test, notes };
}

/** Number of channels that --mean and --std speak of: colour channels of images, features of sequences and vectors. */
export function channelsOf({ layout, sampleShape }: SampleForm): number {
  return (layout === 'CHW' ? sampleShape[0] : sampleShape.at(-1)) ?? 1;
}

/** Samples that lie one after the other in one array. */
export function arraySplit(
  form: { layout: SampleLayout; sampleShape: readonly number[] },
  data: Uint8Array | Float32Array,
  labels: Int32Array,
): Split {
  const { layout, sampleShape } = form;
  const size = elementCount(sampleShape);
  const element = data instanceof Uint8Array ? 'uint8' : 'float32';
  return { layout, sampleShape, element, count: labels.length, labels, read: (i) => data.subarray(i * size, (i + 1) * size) };
}

/** The samples at the given positions. */
export function subset(split: Split, positions: Uint32Array): Split {
  const labels = Int32Array.from(positions, (p) => split.labels[p] ?? 0);
  const lengths = split.lengths && Int32Array.from(positions, (p) => split.lengths?.[p] ?? 0);
  const at = (i: number): number => positions[i] ?? 0;
  const { encoded } = split;
  return {
    ...split,
    count: positions.length,
    labels,
    lengths,
    read: (i) => split.read(at(i)),
    encoded: encoded && { ...encoded, files: (i) => encoded.files(at(i)) },
  };
}

/** The first `count` samples, or all. */
export function firstOf(split: Split, count = Infinity): Split {
  if (count >= split.count) return split;
  const { labels, lengths } = split;
  return { ...split, count, labels: labels.subarray(0, count), lengths: lengths?.subarray(0, count), read: (i) => split.read(i) };
}

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decode as decodeJpeg } from 'jpeg-js';
import { PNG } from 'pngjs';
import { SurgeryError } from '../graph/errors';
import { type Dataset, type OpenOptions, type Split, datasetOf } from './dataset';
import { isDirectory, malformed } from './fileBytes';
import { holdOut } from './split';

const IMAGE = /\.(png|jpe?g)$/i;

interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8Array;
}

interface Labelled {
  readonly file: string;
  readonly label: number;
}

export const folders = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => isDirectory(join(directory, name)))
    .sort();
const hasImages = (directory: string): boolean => readdirSync(directory).some((name) => IMAGE.test(name));
export const splitFolder = (directory: string, names: readonly string[]): string | undefined =>
  folders(directory).find((name) => names.includes(name.toLowerCase()));

export function isImageFolder(directory: string): boolean {
  const train = splitFolder(directory, ['train', 'training']);
  const parent = train ? join(directory, train) : directory;
  return folders(parent).some((name) => hasImages(join(parent, name)));
}

/** A folder for every class, optionally under train and test (or val). Images are read when they are needed. */
export function openImageFolder(directory: string, options: OpenOptions): Dataset {
  const train = splitFolder(directory, ['train', 'training']);
  const test = splitFolder(directory, ['test', 'val', 'valid', 'validation']);
  const parent = train ? join(directory, train) : directory;
  const classes = folders(parent).filter((name) => hasImages(join(parent, name)));
  const list = (folder: string): Labelled[] =>
    classes.flatMap((name, label) => imagesOf(join(folder, name)).map((file) => ({ file, label })));
  const all = list(parent);
  const first = all[0] ?? fail(directory);
  const size = options.imageSize ?? sizeOf(readPicture(first.file));
  if (train && test)
    return datasetOf(
      directory,
      classes,
      pictures(all, size, options),
      pictures(list(join(directory, test)), size, options),
      notes(size, `split: ${train} and ${test}`),
    );
  const held = holdOut(pictures(all, size, options), options.holdout);
  return datasetOf(directory, classes, held.train, held.test, notes(size, held.note));
}

function fail(directory: string): never {
  throw new SurgeryError('data-malformed', `${directory} has no PNG or JPEG images in its class folders`);
}

const notes = (size: readonly [number, number], split: string): string[] => [
  'format: class folders of images',
  `layout: C, H, W with 3 channels, ${size.join(' x ')} pixels`,
  split,
];
export const imagesOf = (folder: string): string[] =>
  isDirectory(folder)
    ? readdirSync(folder)
        .filter((name) => IMAGE.test(name))
        .sort()
        .map((name) => join(folder, name))
    : [];
const sizeOf = ({ height, width }: Picture): [number, number] => [height, width];

function pictures(samples: readonly Labelled[], size: readonly [number, number], options: OpenOptions): Split {
  const [height, width] = size;
  const read = (i: number): Uint8Array => {
    const { file } = samples[i] ?? { file: '' };
    const picture = readPicture(file);
    if (!options.imageSize && (picture.height !== height || picture.width !== width))
      throw malformed(
        file,
        0,
        `has ${picture.height} x ${picture.width} pixels, the first image ${height} x ${width}; give a size (folder?size=${height}x${width})`,
      );
    return fitted(picture, height, width);
  };
  return {
    layout: 'CHW',
    sampleShape: [3, height, width],
    element: 'uint8',
    count: samples.length,
    labels: Int32Array.from(samples, (s) => s.label),
    read,
  };
}

export function readPicture(file: string): Picture {
  const bytes = readFileSync(file);
  try {
    return /\.png$/i.test(file) ? PNG.sync.read(bytes) : decodeJpeg(bytes, { useTArray: true, maxMemoryUsageInMB: 2048 });
  } catch (error) {
    throw malformed(file, 0, `cannot be decoded (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** Scales so that the picture covers the size, by averaging or repeating pixels, and cuts out the middle; planes R, G, B. */
export function fitted({ width, height, data }: Picture, toHeight: number, toWidth: number): Uint8Array {
  const scale = Math.max(toHeight / height, toWidth / width);
  const [offsetY, offsetX] = [(height - toHeight / scale) / 2, (width - toWidth / scale) / 2];
  const result = new Uint8Array(3 * toHeight * toWidth);
  const span = (at: number, offset: number, limit: number): [number, number] => {
    const from = Math.min(limit - 1, Math.max(0, Math.floor(offset + at / scale)));
    return [from, Math.min(limit, Math.max(from + 1, Math.round(offset + (at + 1) / scale)))];
  };
  for (let y = 0; y < toHeight; y++) {
    const [top, bottom] = span(y, offsetY, height);
    for (let x = 0; x < toWidth; x++) {
      const [left, right] = span(x, offsetX, width);
      for (let c = 0; c < 3; c++) result[(c * toHeight + y) * toWidth + x] = mean(data, width, [top, bottom, left, right], c);
    }
  }
  return result;
}

function mean(
  data: Uint8Array,
  width: number,
  [top, bottom, left, right]: readonly [number, number, number, number],
  channel: number,
): number {
  let sum = 0;
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += data[(y * width + x) * 4 + channel] ?? 0;
  return Math.round(sum / ((bottom - top) * (right - left)));
}

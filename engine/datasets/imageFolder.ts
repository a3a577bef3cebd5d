import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SurgeryError } from '../graph/errors';
import { type Dataset, type EncodedSamples, type OpenOptions, type Split, datasetOf } from './dataset';
import { isDirectory } from './fileBytes';
import { readPictures, sizeOfPicture } from './picture';
import { holdOut } from './split';

const IMAGE = /\.(png|jpe?g)$/i;

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
  const size = options.imageSize ?? sizeOfPicture(first.file);
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

function pictures(samples: readonly Labelled[], size: readonly [number, number], { imageSize }: OpenOptions): Split {
  const encoded: EncodedSamples = { files: (i) => [samples[i]?.file ?? ''], size, exact: !imageSize };
  return {
    layout: 'CHW',
    sampleShape: [3, ...size],
    element: 'uint8',
    count: samples.length,
    labels: Int32Array.from(samples, (s) => s.label),
    read: (i) => readPictures(encoded.files(i), encoded),
    encoded,
  };
}

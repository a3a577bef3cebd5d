import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SurgeryError } from '../graph/errors';
import { type Dataset, type Split, arraySplit, datasetOf } from './dataset';
import { malformed, readData } from './fileBytes';
import { type NamedBytes, tarEntries } from './tar';

const PIXELS = 3 * 32 * 32;
const FORM = { layout: 'CHW', sampleShape: [3, 32, 32] } as const;
const BATCH_FILE = /^(data_batch_\d+|test_batch|train|test)\.bin$/;

export const isCifarFolder = (directory: string): boolean => readdirSync(directory).some((name) => BATCH_FILE.test(name));

/** CIFAR-10's data_batch_1.bin ... and test_batch.bin, or CIFAR-100's train.bin and test.bin. */
export function openCifarFolder(directory: string): Dataset {
  const names = readdirSync(directory)
    .filter((name) => BATCH_FILE.test(name))
    .sort();
  const files = names.map((name) => ({ name: join(directory, name), bytes: readData(join(directory, name)) }));
  const meta = ['batches.meta.txt', 'fine_label_names.txt'].map((name) => join(directory, name)).find(existsSync);
  return fromFiles(directory, files, meta ? readFileSync(meta, 'utf8') : undefined);
}

/** The archive as it is published: the same files in a tar. */
export function openCifarArchive(file: string): Dataset {
  const entries = tarEntries(readData(file), file);
  const base = (name: string): string => name.split('/').at(-1) ?? '';
  const meta = entries.find(({ name }) => ['batches.meta.txt', 'fine_label_names.txt'].includes(base(name)));
  return fromFiles(
    file,
    entries.filter(({ name }) => BATCH_FILE.test(base(name))).sort((a, b) => a.name.localeCompare(b.name)),
    meta?.bytes.toString('utf8'),
  );
}

function fromFiles(place: string, files: readonly NamedBytes[], names: string | undefined): Dataset {
  const isTest = ({ name }: NamedBytes): boolean => /test(_batch)?\.bin$/.test(name);
  const [train, test] = [files.filter((f) => !isTest(f)), files.filter(isTest)];
  if (train.length === 0 || test.length === 0)
    throw new SurgeryError(
      'data-malformed',
      `${place} needs training and test batches; it has ${files.map((f) => f.name).join(', ') || 'none'}`,
    );
  const fine = files.some(({ name }) => /(^|\/)train\.bin$/.test(name));
  const splits = [train, test].map((list) => readSplit(list, fine ? 2 : 1)) as [Split, Split];
  const classes =
    names
      ?.split('\n')
      .map((n) => n.trim())
      .filter(Boolean) ?? Array.from({ length: fine ? 100 : 10 }, (_, i) => String(i));
  return datasetOf(place, classes, splits[0], splits[1], [
    `format: CIFAR-${fine ? 100 : 10} binary`,
    'layout: C, H, W',
    'split: as in the files',
  ]);
}

/** Records of label bytes (the last is the class) and 3072 pixels. */
function readSplit(files: readonly NamedBytes[], labelBytes: number): Split {
  const record = labelBytes + PIXELS;
  const counts = files.map(({ name, bytes }) => {
    if (bytes.length === 0 || bytes.length % record !== 0)
      throw malformed(name, bytes.length - (bytes.length % record), `ends in the middle of a record of ${record} bytes`);
    return bytes.length / record;
  });
  const total = counts.reduce((a, b) => a + b, 0);
  const [data, labels] = [new Uint8Array(total * PIXELS), new Int32Array(total)];
  let at = 0;
  files.forEach(({ bytes }, f) => {
    for (let i = 0; i < (counts[f] ?? 0); i++, at++) {
      labels[at] = bytes[i * record + labelBytes - 1] ?? 0;
      data.set(bytes.subarray(i * record + labelBytes, (i + 1) * record), at * PIXELS);
    }
  });
  return arraySplit(FORM, data, labels);
}

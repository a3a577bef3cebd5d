import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import { type Dataset, type OpenOptions, type Split, arraySplit, datasetOf } from './dataset';
import { malformed, readData } from './fileBytes';
import { arrangeSamples, classNames, toLabels } from './arrange';
import { holdOut } from './split';

/** One array of the IDX format (Y. LeCun, "The MNIST database"): big-endian, type code, dimensions, elements. */
export interface IdxArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array | Float32Array | Int32Array;
}

const IDX_NAME = /(train|t10k|test).*[-.]idx\d-(ubyte|byte|short|int|float|double)(\.gz)?$/i;

export const isIdxFolder = (directory: string): boolean => readdirSync(directory).some((name) => IDX_NAME.test(name));

export function openIdxFolder(directory: string, options: OpenOptions): Dataset {
  const train = openPair(directory, /train/i, options);
  const test = openPair(directory, /t10k|test/i, options);
  const only = train ?? test;
  if (!only) throw new SurgeryError('data-malformed', `${directory} has no pair of IDX image and label files`);
  if (train && test && train.split.sampleShape.join() !== test.split.sampleShape.join())
    throw malformed(
      test.file,
      4,
      `has samples of ${test.split.sampleShape.join(' x ')}; the training file has ${train.split.sampleShape.join(' x ')}`,
    );
  const splits =
    train && test ? { train: train.split, test: test.split, note: 'split: as in the files' } : holdOut(only.split, options.holdout);
  const classes = classNames([train?.split.labels, test?.split.labels]);
  return datasetOf(directory, classes, splits.train, splits.test, ['format: IDX', only.note, splits.note]);
}

function openPair(directory: string, which: RegExp, options: OpenOptions): { split: Split; file: string; note: string } | undefined {
  const files = readdirSync(directory)
    .filter((name) => IDX_NAME.test(name) && which.test(name))
    .sort();
  const images = files.find((name) => /image/i.test(name));
  const labels = files.find((name) => /label/i.test(name));
  if (!images && !labels) return undefined;
  if (!images || !labels)
    throw new SurgeryError(
      'data-malformed',
      `${directory} has ${images ?? labels ?? ''} but not the ${images ? 'labels' : 'images'} that belong to it`,
    );
  const file = join(directory, images);
  const labelFile = join(directory, labels);
  const samples = parseIdx(readData(file), file);
  const arranged = arrangeSamples(samples.dims, samples.data, file, options.axes);
  const classes = toLabels(parseIdx(readData(labelFile), labelFile).data, samples.dims[0] ?? 0, labelFile);
  return { split: arraySplit(arranged, arranged.data, classes), file, note: arranged.note };
}

/** Throws SurgeryError 'data-malformed' with the offset of what is wrong. */
export function parseIdx(bytes: Buffer, file: string): IdxArray {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) throw malformed(file, 0, 'is not an IDX file (it starts with two zero bytes)');
  const code = bytes.readUInt8(2);
  const rank = bytes.readUInt8(3);
  const width = { 8: 1, 9: 1, 11: 2, 12: 4, 13: 4, 14: 8 }[code];
  if (!width) throw malformed(file, 2, `has element type 0x${code.toString(16)}; known are 0x8, 0x9, 0xb, 0xc, 0xd and 0xe`);
  const start = 4 + 4 * rank;
  if (rank === 0 || bytes.length < start)
    throw malformed(file, 3, `says it has ${rank} dimensions, but the file has ${bytes.length} bytes`);
  const dims = Array.from({ length: rank }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  const count = elementCount(dims);
  if (bytes.length !== start + count * width)
    throw malformed(
      file,
      Math.min(bytes.length, start + count * width),
      `should be ${start + count * width} bytes for ${dims.join(' x ')} elements, but is ${bytes.length}`,
    );
  return { dims, data: decodeElements(bytes.subarray(start), code, count) };
}

function decodeElements(body: Buffer, code: number, count: number): IdxArray['data'] {
  switch (code) {
    case 8:
      return body;
    case 9:
      return Int32Array.from({ length: count }, (_, i) => body.readInt8(i));
    case 11:
      return Int32Array.from({ length: count }, (_, i) => body.readInt16BE(2 * i));
    case 12:
      return Int32Array.from({ length: count }, (_, i) => body.readInt32BE(4 * i));
    case 13:
      return Float32Array.from({ length: count }, (_, i) => body.readFloatBE(4 * i));
    default:
      return Float32Array.from({ length: count }, (_, i) => body.readDoubleBE(8 * i));
  }
}

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import { type Dataset, type OpenOptions, type Split, arraySplit } from './dataset';
import { malformed, readData } from './fileBytes';
import { arrangeSamples, classNames, toLabels } from './arrange';
import { holdOut } from './split';

/** One array of the IDX format (Y. LeCun, "The MNIST database"): big-endian, type code, dimensions, elements. */
export interface IdxArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array | Float32Array | Int32Array;
}

const IMAGES = /^(.*?)(train|t10k|test)(.*)[-.]idx(\d)-(ubyte|byte|short|int|float|double)(\.gz)?$/i;

export const isIdxFolder = (directory: string): boolean => readdirSync(directory).some((name) => IMAGES.test(name));

export function openIdxFolder(directory: string, options: OpenOptions): Dataset {
  const files = readdirSync(directory).sort();
  const load = (which: RegExp): { images: IdxArray; labels: IdxArray; file: string; labelFile: string } | undefined => {
    const find = (kind: RegExp): string | undefined => files.find((f) => IMAGES.test(f) && which.test(f) && kind.test(f));
    const images = find(/image/i);
    const labels = find(/label/i);
    if (!images && !labels) return undefined;
    if (!images || !labels)
      throw new SurgeryError('data-malformed', `${directory} has ${images ?? labels ?? ''} but not its ${images ? 'labels' : 'images'} beside it`);
    const [file, labelFile] = [join(directory, images), join(directory, labels)];
    return { images: parseIdx(readData(file), file), labels: parseIdx(readData(labelFile), labelFile), file, labelFile };
  };
  const train = load(/train/i);
  const test = load(/t10k|test/i);
  const first = train ?? test;
  if (!first) throw new SurgeryError('data-malformed', `${directory} has no pair of IDX image and label files`);
  const arranged = [train, test].map((part) => part && arrangeSamples(part.images.dims, part.images.data, part.file, options.axes));
  const labels = [train, test].map((part) => part && toLabels(part.labels.data, part.images.dims[0] ?? 0, part.labelFile));
  const splits = arranged.map((a, i): Split | undefined => a && arraySplit(a.data, labels[i] ?? new Int32Array()));
  const [a, b] = arranged;
  const shape = a ?? b;
  if (!shape) throw new SurgeryError('data-malformed', `${directory} has no images`);
  if (a && b && a.sampleShape.join() !== b.sampleShape.join())
    throw malformed(test?.file ?? directory, 4, `has samples of ${b.sampleShape.join(' x ')}; the training file has ${a.sampleShape.join(' x ')}`);
  const only = splits[0] ?? splits[1];
  const made = splits[0] && splits[1] ? { train: splits[0], test: splits[1], note: 'split: as in the files' } : holdOut(only as Split, options.holdout ?? 0.2);
  return {
    name: directory,
    classes: classNames(labels),
    layout: shape.layout,
    sampleShape: shape.sampleShape,
    element: shape.data instanceof Uint8Array ? 'uint8' : 'float32',
    train: made.train,
    test: made.test,
    notes: ['format: IDX', shape.note, made.note],
  };
}

/** Throws SurgeryError 'data-malformed' with the offset of what is wrong. */
export function parseIdx(bytes: Buffer, file: string): IdxArray {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) throw malformed(file, 0, 'is not an IDX file (it starts with two zero bytes)');
  const code = bytes.readUInt8(2);
  const rank = bytes.readUInt8(3);
  const width = { 8: 1, 9: 1, 11: 2, 12: 4, 13: 4, 14: 8 }[code];
  if (!width) throw malformed(file, 2, `has element type 0x${code.toString(16)}; known are 0x8, 0x9, 0xb, 0xc, 0xd and 0xe`);
  const start = 4 + 4 * rank;
  if (rank === 0 || bytes.length < start) throw malformed(file, 3, `says it has ${rank} dimensions, but the file has ${bytes.length} bytes`);
  const dims = Array.from({ length: rank }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  const count = elementCount(dims);
  if (bytes.length !== start + count * width)
    throw malformed(file, Math.min(bytes.length, start + count * width), `should be ${start + count * width} bytes for ${dims.join(' x ')} elements, but is ${bytes.length}`);
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

import { SurgeryError } from '../graph/errors';
import type { Tensor } from '../graph/tensor';
import { numbersOf } from '../graph/tensor';
import { readNpz } from '../formats/npy/npz';
import { arrangeSamples, classNames, toLabels } from './arrange';
import { type Dataset, type OpenOptions, type Split, arraySplit, datasetOf } from './dataset';
import { malformed } from './fileBytes';
import { holdOut } from './split';

/** Opens `x_train, y_train, x_test, y_test`, or `x, y` of which a part is held out for testing. */
export function openNpzDataset(path: string, options: OpenOptions): Dataset {
  const arrays = readNpz(path);
  const [x, y] = arrays.has('x_train') ? ['x_train', 'y_train'] : ['x', 'y'];
  const all = pairOf(arrays, x, y, path, options);
  if (!arrays.has('x_test')) {
    const { train, test, note } = holdOut(all.split, options.holdout);
    return datasetOf(path, classNames([all.split.labels]), train, test, ['format: NumPy .npz', all.note, note]);
  }
  const held = pairOf(arrays, 'x_test', 'y_test', path, options);
  const { sampleShape } = all.split;
  if (sampleShape.join() !== held.split.sampleShape.join())
    throw malformed(`${path}:x_test.npy`, 0, `has samples of ${held.split.sampleShape.join(' x ')}; ${x} has ${sampleShape.join(' x ')}`);
  const notes = ['format: NumPy .npz', all.note, 'split: as in the file'];
  return datasetOf(path, classNames([all.split.labels, held.split.labels]), all.split, held.split, notes);
}

function pairOf(
  arrays: ReadonlyMap<string, Tensor>,
  x: string,
  y: string,
  path: string,
  options: OpenOptions,
): { split: Split; note: string } {
  const samples = arrayOf(arrays, x, path);
  const classes = arrayOf(arrays, y, path);
  const arranged = arrangeSamples(samples.dims, elementsOf(samples), `${path}:${x}.npy`, options.axes);
  const labels = toLabels(elementsOf(classes), samples.dims[0] ?? 0, `${path}:${y}.npy`);
  return { split: arraySplit(arranged, arranged.data, labels), note: arranged.note };
}

function arrayOf(arrays: ReadonlyMap<string, Tensor>, name: string, path: string): Tensor {
  const tensor = arrays.get(name);
  if (tensor) return tensor;
  const names = [...arrays.keys()].join(', ') || 'nothing';
  throw new SurgeryError(
    'data-malformed',
    `${path} has no array ${name} (it has ${names}); x_train, y_train, x_test, y_test or x, y are read`,
  );
}

function elementsOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.type === 'float32' || tensor.type === 'uint8') return tensor.data as Float32Array | Uint8Array;
  if (tensor.type === 'bool') return Float32Array.from(tensor.data as Uint8Array);
  if (tensor.type === 'float16' || tensor.type === 'int64' || tensor.type === 'uint64') return numbersOf(tensor);
  return tensor.data as Int32Array;
}

import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import type { SampleLayout } from './dataset';
import { malformed } from './fileBytes';

export interface Arranged {
  readonly layout: SampleLayout;
  readonly sampleShape: readonly number[];
  /** Samples one after the other, in the order of `sampleShape`. */
  readonly data: Uint8Array | Float32Array;
  readonly note: string;
}

type Axes = 'CHW' | 'HWC' | 'HW' | 'TF' | 'F';

/**
 * Tells what the axes of an array [N, ...] mean and brings images to channel, height, width. Four axes are images, with their
 * channels last when the last axis has 1, 3 or 4 elements and the first has not; three axes are grey images when 8-bit and
 * sequences [N, T, F] otherwise; five axes [N, T, C, H, W] are sequences of flattened frames.
 */
export function arrangeSamples(dims: readonly number[], values: ArrayLike<number>, file: string, axes?: 'CHW' | 'HWC' | 'TF'): Arranged {
  const sample = dims.slice(1);
  const is8Bit = values instanceof Uint8Array;
  const order = axesOf(sample, is8Bit, file, axes);
  const data = is8Bit ? values : values instanceof Float32Array ? values : Float32Array.from(values);
  const [a = 1, b = 1, c = 1] = sample;
  const found = `${is8Bit ? 'uint8' : 'float'} [${dims.join(', ')}]`;
  const told = axes ? 'as the option says' : 'told from shape and type';
  switch (order) {
    case 'CHW':
      return { layout: 'CHW', sampleShape: sample, data, note: `layout: ${found} is N, C, H, W (${told})` };
    case 'HW':
      return { layout: 'CHW', sampleShape: [1, a, b], data, note: `layout: ${found} is N, H, W with one channel (${told})` };
    case 'HWC':
      return {
        layout: 'CHW',
        sampleShape: [c, a, b],
        data: channelsFirst(data, a * b, c),
        note: `layout: ${found} is N, H, W, C, read as C, H, W (${told})`,
      };
    case 'TF':
      return { layout: 'TF', sampleShape: [a, elementCount(sample.slice(1))], data, note: `layout: ${found} is N, T, F (${told})` };
    case 'F':
      return { layout: 'F', sampleShape: [a], data, note: `layout: ${found} is N, F` };
  }
}

function axesOf(sample: readonly number[], is8Bit: boolean, file: string, axes?: 'CHW' | 'HWC' | 'TF'): Axes {
  const rank = sample.length;
  if (axes && rank === 3) return axes;
  if (axes === 'TF' && rank >= 2) return 'TF';
  if (rank === 1) return 'F';
  if (rank === 2) return is8Bit ? 'HW' : 'TF';
  if (rank === 3) return isChannels(sample[2]) && !isChannels(sample[0]) ? 'HWC' : 'CHW';
  if (rank === 4) return 'TF';
  throw malformed(file, 0, `holds samples of rank ${rank}; vectors, sequences [T, F], images and clips [T, C, H, W] are read`);
}

const isChannels = (size: number | undefined): boolean => size === 1 || size === 3 || size === 4;

function channelsFirst<T extends Uint8Array | Float32Array>(data: T, pixels: number, channels: number): T {
  const result = data.slice() as T;
  const size = pixels * channels;
  for (let start = 0; start < data.length; start += size)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < pixels; p++) result[start + c * pixels + p] = data[start + p * channels + c] as number;
  return result;
}

/** Class labels as whole numbers; [N, 1] is as good as [N]. */
export function toLabels(values: ArrayLike<number | bigint>, count: number, file: string): Int32Array {
  if (values.length !== count)
    throw malformed(file, 0, `has ${values.length} labels for ${count} samples; one class number a sample is needed`);
  const labels = Int32Array.from(values as ArrayLike<number>, Number);
  const bad = labels.findIndex((label, i) => label < 0 || label !== Number(values[i]));
  if (bad >= 0) throw malformed(file, 0, `has label ${String(values[bad])} at position ${bad}; labels are whole numbers from 0`);
  return labels;
}

/** "0", "1", ... up to the largest label. */
export function classNames(labels: readonly (Int32Array | undefined)[]): string[] {
  const largest = labels.reduce((most, list) => list?.reduce((a, b) => Math.max(a, b), most) ?? most, -1);
  if (largest < 0) throw new SurgeryError('data-malformed', 'The data has no labels');
  return Array.from({ length: largest + 1 }, (_, i) => String(i));
}

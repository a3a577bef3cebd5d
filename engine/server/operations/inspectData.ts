import type { DataDescription } from '../../contract/data';
import { type Split, channelsOf } from '../../datasets/dataset';
import { type DataFlags, openData } from './data';

/** Samples that the statistics are taken of. */
const SAMPLES = 1000;
/** Statistics are told for so many channels at most. */
const CHANNELS = 16;

/** What a data set holds, and how its values become the network's input. */
export async function inspectData(options: DataFlags): Promise<DataDescription> {
  const data = await openData(options);
  const scaled = data.element === 'uint8' && !options.raw;
  const normalised = options.mean !== undefined || options.std !== undefined;
  return {
    name: data.name,
    classes: data.classes,
    layout: data.layout,
    sampleShape: data.sampleShape,
    element: data.element,
    train: data.train.count,
    test: data.test.count,
    notes: data.notes,
    scaling: `${scaled ? 'values divided by 255' : 'values as they are'}, ${normalised ? `mean ${(options.mean ?? [0]).join(',')} and deviation ${(options.std ?? [1]).join(',')}` : 'not normalised'}`,
    ...(channelsOf(data) <= CHANNELS ? { statistics: statisticsOf(data.train, scaled ? 255 : 1) } : {}),
  };
}

/** Mean and deviation of every channel over the first training samples; padding does not count. */
function statisticsOf(split: Split, divisor: number): { mean: number[]; std: number[] } {
  const channels = channelsOf(split);
  const [sums, squares] = [new Float64Array(channels), new Float64Array(channels)];
  let count = 0;
  for (let i = 0; i < Math.min(SAMPLES, split.count); i++) {
    const sample = split.read(i);
    const used = split.lengths ? (split.lengths[i] ?? 0) * channels : sample.length;
    const perChannel = sample.length / channels;
    for (let k = 0; k < used; k++) {
      const c = split.layout === 'CHW' ? Math.floor(k / perChannel) : k % channels;
      const value = (sample[k] ?? 0) / divisor;
      sums[c] = (sums[c] ?? 0) + value;
      squares[c] = (squares[c] ?? 0) + value * value;
    }
    count += used / channels;
  }
  const round = (v: number): number => Number(v.toPrecision(5));
  const mean = Array.from(sums, (s) => s / Math.max(1, count));
  const std = mean.map((m, c) => Math.sqrt(Math.max(0, (squares[c] ?? 0) / Math.max(1, count) - m * m)));
  return { mean: mean.map(round), std: std.map(round) };
}

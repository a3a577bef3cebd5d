import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Dataset, type OpenOptions, type Split, arraySplit, datasetOf } from './dataset';
import { malformed, readData } from './fileBytes';
import { holdOut } from './split';

const SERIES = /\.ts$/;

/** Whether a .ts file holds series and not a program: such a file begins with comments (#) and headers (@). */
export const isTimeSeries = (file: string): boolean => SERIES.test(file) && /^\s*[#@]/.test(readData(file).toString('latin1', 0, 64));

export const isTimeSeriesFolder = (directory: string): boolean => seriesFile(directory, 'TRAIN') !== undefined;

const seriesFile = (directory: string, part: 'TRAIN' | 'TEST'): string | undefined => {
  const name = readdirSync(directory).find((file) => file.toUpperCase().endsWith(`${part}.TS`));
  return name && join(directory, name);
};

/** Series of the UEA and UCR archives: NAME_TRAIN.ts and NAME_TEST.ts of a folder, or one file of which a part is held out. */
export function openTimeSeries(place: string, options: OpenOptions): Dataset {
  const isFile = SERIES.test(place);
  const files = isFile ? [place] : [seriesFile(place, 'TRAIN') ?? '', seriesFile(place, 'TEST') ?? ''].filter(Boolean);
  const read = files.map(readSeries);
  const classes = read[0]?.classes ?? [];
  const features = read[0]?.series[0]?.channels.length ?? 0;
  const longest = Math.max(...read.flatMap(({ series }) => series.map(lengthOf)));
  const splits = read.map(({ series, file }) => padded(series, longest, features, classes, file));
  const lengths = read.flatMap(({ series }) => series.map(lengthOf));
  const shortest = Math.min(...lengths);
  const notes = (split: string): string[] => [
    'format: UEA time series (.ts)',
    `layout: N, T, F with ${longest} steps of ${features} features`,
    shortest === longest ? 'lengths: all equal' : `lengths: ${shortest} to ${longest} steps, filled up with zeros behind`,
    split,
  ];
  const [train, test] = splits;
  if (train && test) return datasetOf(place, classes, train, test, notes('split: as in the files'));
  const held = holdOut(train as Split, options.holdout);
  return datasetOf(place, classes, held.train, held.test, notes(held.note));
}

interface Series {
  /** Values by dimension and time. */
  readonly channels: readonly (readonly number[])[];
  readonly label: string;
}

const lengthOf = ({ channels }: Series): number => channels[0]?.length ?? 0;

function readSeries(file: string): { file: string; classes: string[]; series: Series[] } {
  const text = readData(file).toString('utf8');
  const series: Series[] = [];
  let classes: string[] = [];
  let [offset, inData] = [0, false];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    const [key = '', ...values] = trimmed.split(/\s+/);
    if (inData && trimmed) series.push(parseSeries(trimmed, file, offset, series[0]?.channels.length));
    else if (key.toLowerCase() === '@data') inData = true;
    else if (key.toLowerCase() === '@classlabel') classes = values.slice(1);
    else if (key.toLowerCase() === '@timestamps' && values[0] === 'true')
      throw malformed(file, offset, 'has time stamps; series with equal steps are read');
    offset += Buffer.byteLength(line) + 1;
  }
  if (series.length === 0) throw malformed(file, offset, 'ends without any series behind @data');
  if (classes.length === 0) throw malformed(file, 0, 'names no classes (@classLabel true A B ...)');
  return { file, classes, series };
}

/** "1,2,3:4,5,6:label" holds two dimensions of three steps. */
function parseSeries(line: string, file: string, offset: number, dimensions: number | undefined): Series {
  const parts = line.split(':');
  const label = parts.pop()?.trim() ?? '';
  const channels = parts.map((part) => part.split(',').map(Number));
  const bad = channels.findIndex((channel) => channel.some((v) => !Number.isFinite(v)));
  if (bad >= 0) throw malformed(file, offset, `dimension ${bad + 1} of this series has a value that is missing or no number`);
  if (channels.length === 0 || channels.length !== (dimensions ?? channels.length))
    throw malformed(file, offset, `this series has ${channels.length} dimensions, the first one ${dimensions ?? 'at least one'}`);
  if (channels.some((channel) => channel.length !== channels[0]?.length))
    throw malformed(file, offset, 'the dimensions of this series differ in length');
  return { channels, label };
}

function padded(series: readonly Series[], steps: number, features: number, classes: readonly string[], file: string): Split {
  const data = new Float32Array(series.length * steps * features);
  series.forEach(({ channels }, i) =>
    channels.forEach((channel, f) => channel.forEach((v, t) => (data[(i * steps + t) * features + f] = v))),
  );
  const labels = Int32Array.from(series, ({ label }) => classes.indexOf(label));
  const unknown = series[labels.indexOf(-1)];
  if (unknown) throw malformed(file, 0, `has a series of class "${unknown.label}", which @classLabel does not name`);
  return { ...arraySplit({ layout: 'TF', sampleShape: [steps, features] }, data, labels), lengths: Int32Array.from(series, lengthOf) };
}

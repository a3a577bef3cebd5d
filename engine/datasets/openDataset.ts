import { existsSync, readdirSync } from 'node:fs';
import { SurgeryError } from '../graph/errors';
import { isCifarFolder, openCifarArchive, openCifarFolder } from './cifar';
import { isClipFolder, openClipFolder } from './clipFolder';
import type { Dataset, OpenOptions } from './dataset';
import { isDirectory } from './fileBytes';
import { openGenerated } from './generated';
import { isIdxFolder, openIdxFolder } from './idx';
import { isImageFolder, openImageFolder } from './imageFolder';
import { openNpzDataset } from './npzDataset';
import { isSilhouetteFolder, openSilhouetteFolder } from './silhouettes';
import { isTimeSeries, isTimeSeriesFolder, openTimeSeries } from './timeSeries';

const GENERATED = 'generated:';

/**
 * Opens labelled data (DESIGN 5.2): a folder of IDX files, CIFAR binary batches, class folders with images or with clips, time
 * series (.ts) or silhouettes; a CIFAR .tar.gz; an .npz; a .ts; or `generated:shapes?...` and `generated:motions?...`. Options may follow a path as a query
 * ("photos?size=64&holdout=0.1"). Throws SurgeryError 'file-not-found', 'data-malformed' or 'option-invalid'.
 */
export async function openDataset(spec: string, options: OpenOptions = {}): Promise<Dataset> {
  const { place, query } = splitSpec(spec);
  if (place.startsWith(GENERATED)) return openGenerated(place.slice(GENERATED.length), query, spec);
  const all = { ...options, ...queryOptions(query, spec) };
  if (isDirectory(place)) return openFolder(place, all);
  if (!existsSync(place))
    throw new SurgeryError('file-not-found', `There is no data at ${place}; give a folder, an .npz file or generated:shapes`, {
      file: place,
    });
  if (place.endsWith('.npz')) return openNpzDataset(place, all);
  if (isTimeSeries(place)) return openTimeSeries(place, all);
  if (/\.(tar\.gz|tgz|tar)$/.test(place)) return openCifarArchive(place);
  throw new SurgeryError('data-malformed', `${place} is neither a folder of data nor an .npz, .ts or .tar.gz file`, { file: place });
}

function openFolder(directory: string, options: OpenOptions): Dataset | Promise<Dataset> {
  if (isIdxFolder(directory)) return openIdxFolder(directory, options);
  if (isCifarFolder(directory)) return openCifarFolder(directory);
  if (isImageFolder(directory)) return openImageFolder(directory, options);
  if (isClipFolder(directory)) return openClipFolder(directory, options);
  if (isTimeSeriesFolder(directory)) return openTimeSeries(directory, options);
  if (isSilhouetteFolder(directory)) return openSilhouetteFolder(directory, options);
  const files = readdirSync(directory);
  const archive = files.find((name) => /^cifar.*\.t(ar\.)?gz$/.test(name));
  if (archive) return openCifarArchive(`${directory}/${archive}`);
  throw new SurgeryError(
    'data-malformed',
    `${directory} holds no data that is known: no IDX files, no CIFAR batches (data_batch_1.bin), no class folders with PNG or JPEG images or with clips, no time series (_TRAIN.ts) (it has ${files.slice(0, 4).join(', ') || 'nothing'})`,
    { file: directory },
  );
}

function splitSpec(spec: string): { place: string; query: URLSearchParams } {
  const at = spec.indexOf('?');
  if (at < 0 || existsSync(spec)) return { place: spec, query: new URLSearchParams() };
  return { place: spec.slice(0, at), query: new URLSearchParams(spec.slice(at + 1)) };
}

function queryOptions(query: URLSearchParams, spec: string): OpenOptions {
  const known: Record<string, (text: string) => OpenOptions> = {
    holdout: (text) => ({ holdout: Number(text) }),
    size: (text) => ({ imageSize: sizeOf(text, spec) }),
    axes: (text) => ({ axes: axesOf(text, spec) }),
    frames: (text) => ({ frames: wholeNumber(text, 'frames', spec) }),
    stride: (text) => ({ stride: wholeNumber(text, 'stride', spec) }),
    test: (text) => ({ test: text.split(',') }),
  };
  const parts = [...query].map(([key, text]) => {
    const read = known[key];
    if (!read) throw new SurgeryError('option-invalid', `${spec}: option ${key} is not known; use ${Object.keys(known).join(', ')}`);
    return read(text);
  });
  return Object.assign({}, ...parts) as OpenOptions;
}

function sizeOf(text: string, spec: string): [number, number] {
  const [height = NaN, width = height] = text.split('x').map(Number);
  if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1)
    throw new SurgeryError('option-invalid', `${spec}: size ${text} is not of the form 64 or 64x48`);
  return [height, width];
}

function wholeNumber(text: string, name: string, spec: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new SurgeryError('option-invalid', `${spec}: ${name} ${text} is no whole number from 1`);
  return value;
}

function axesOf(text: string, spec: string): 'CHW' | 'HWC' | 'TF' {
  const upper = text.toUpperCase();
  if (upper === 'CHW' || upper === 'HWC' || upper === 'TF') return upper;
  throw new SurgeryError('option-invalid', `${spec}: axes ${text} is not one of CHW, HWC, TF`);
}

import { existsSync, readdirSync } from 'node:fs';
import { SurgeryError } from '../graph/errors';
import { isCifarFolder, openCifarArchive, openCifarFolder } from './cifar';
import type { Dataset, OpenOptions } from './dataset';
import { isDirectory } from './fileBytes';
import { openGenerated } from './generated';
import { isIdxFolder, openIdxFolder } from './idx';
import { isImageFolder, openImageFolder } from './imageFolder';
import { openNpzDataset } from './npzDataset';

const GENERATED = 'generated:';

/**
 * Opens labelled data (DESIGN 5.2): a folder of IDX files, CIFAR binary batches or class folders with images;
 * a CIFAR .tar.gz; an .npz; or `generated:shapes?...` and `generated:motions?...`. Options may follow a path as a query
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
  if (/\.(tar\.gz|tgz|tar)$/.test(place)) return openCifarArchive(place);
  throw new SurgeryError('data-malformed', `${place} is neither a folder of data nor an .npz or .tar.gz file`, { file: place });
}

function openFolder(directory: string, options: OpenOptions): Dataset | Promise<Dataset> {
  if (isIdxFolder(directory)) return openIdxFolder(directory, options);
  if (isCifarFolder(directory)) return openCifarFolder(directory);
  if (isImageFolder(directory)) return openImageFolder(directory, options);
  const files = readdirSync(directory);
  const archive = files.find((name) => /^cifar.*\.t(ar\.)?gz$/.test(name));
  if (archive) return openCifarArchive(`${directory}/${archive}`);
  throw new SurgeryError(
    'data-malformed',
    `${directory} holds no data that is known: no IDX files, no CIFAR batches (data_batch_1.bin) and no class folders with PNG or JPEG images (it has ${files.slice(0, 4).join(', ') || 'nothing'})`,
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

function axesOf(text: string, spec: string): 'CHW' | 'HWC' | 'TF' {
  const upper = text.toUpperCase();
  if (upper === 'CHW' || upper === 'HWC' || upper === 'TF') return upper;
  throw new SurgeryError('option-invalid', `${spec}: axes ${text} is not one of CHW, HWC, TF`);
}

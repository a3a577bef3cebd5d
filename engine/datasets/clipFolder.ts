import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Sequence, clipLength, clipNote, cutClips } from './clips';
import { type Dataset, type EncodedSamples, type OpenOptions, type Split, datasetOf } from './dataset';
import { folders, imagesOf, splitFolder } from './imageFolder';
import { readPictures, sizeOfPicture } from './picture';
import { holdOut } from './split';

interface Recording extends Sequence {
  readonly files: readonly string[];
}

const clipFolders = (directory: string): string[] => folders(directory).filter((clip) => imagesOf(join(directory, clip)).length > 0);

/** A folder for every class, in it a folder for every clip, in that its frames as images; optionally under train and test. */
export function isClipFolder(directory: string): boolean {
  const train = splitFolder(directory, ['train', 'training']);
  const parent = train ? join(directory, train) : directory;
  return folders(parent).some((name) => clipFolders(join(parent, name)).length > 0);
}

/** Clips [T, 3 H W] with frames in the order of their names. Frames are read when they are needed. */
export function openClipFolder(directory: string, options: OpenOptions): Dataset {
  const train = splitFolder(directory, ['train', 'training']);
  const test = splitFolder(directory, ['test', 'val', 'valid', 'validation']);
  const parent = train ? join(directory, train) : directory;
  const classes = folders(parent).filter((name) => clipFolders(join(parent, name)).length > 0);
  const list = (folder: string): Recording[] =>
    classes.flatMap((name, label) => {
      const place = join(folder, name);
      if (!readdirSync(folder).includes(name)) return [];
      return clipFolders(place).map((clip) => recording(join(place, clip), label));
    });
  const all = list(parent);
  const held = train && test ? list(join(directory, test)) : [];
  const size = options.imageSize ?? sizeOfPicture(all[0]?.files[0] ?? '');
  const length = clipLength([...all, ...held], options);
  const notes = (clips: number, split: string): string[] => [
    'format: class folders of clips, a folder of images each',
    `layout: N, T, F, frames of 3 x ${size.join(' x ')} pixels flattened`,
    clipNote(clips, all.length + held.length, length, options.stride),
    split,
  ];
  const whole = clipSplit(all, size, length, options);
  if (held.length > 0) {
    const other = clipSplit(held, size, length, options);
    return datasetOf(directory, classes, whole, other, notes(whole.count + other.count, `split: ${train ?? ''} and ${test ?? ''}`));
  }
  if (options.stride !== undefined) {
    const apart = holdOutRecordings(all, options);
    const parts = [apart.train, apart.test].map((list) => clipSplit(list, size, length, options)) as [Split, Split];
    return datasetOf(directory, classes, parts[0], parts[1], notes(whole.count, apart.note));
  }
  const parts = holdOut(whole, options.holdout);
  return datasetOf(directory, classes, parts.train, parts.test, notes(whole.count, parts.note));
}

function recording(folder: string, label: number): Recording {
  const files = imagesOf(folder).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return { label, files, frames: files.length };
}

/** Overlapping windows of one recording must not lie on both sides of the split. */
function holdOutRecordings(all: readonly Recording[], options: OpenOptions): { train: Recording[]; test: Recording[]; note: string } {
  const positions: Split = {
    layout: 'F',
    sampleShape: [1],
    element: 'float32',
    count: all.length,
    labels: Int32Array.from(all, (r) => r.label),
    read: (i) => Float32Array.of(i),
  };
  const { train, test, note } = holdOut(positions, options.holdout);
  const pick = (split: Split): Recording[] => Array.from({ length: split.count }, (_, i) => all[split.read(i)[0] ?? 0] as Recording);
  return { train: pick(train), test: pick(test), note: `${note} (whole recordings)` };
}

function clipSplit(recordings: readonly Recording[], size: readonly [number, number], length: number, options: OpenOptions): Split {
  const clips = cutClips(recordings, length, options.stride);
  const files = (i: number): string[] => {
    const { frames = [], sequence = 0 } = clips[i] ?? {};
    return frames.map((frame) => recordings[sequence]?.files[frame] ?? '');
  };
  const encoded: EncodedSamples = { files, size, exact: !options.imageSize };
  return {
    layout: 'TF',
    sampleShape: [length, 3 * size[0] * size[1]],
    element: 'uint8',
    count: clips.length,
    labels: Int32Array.from(clips, (clip) => recordings[clip.sequence]?.label ?? 0),
    read: (i) => readPictures(files(i), encoded),
    encoded,
  };
}

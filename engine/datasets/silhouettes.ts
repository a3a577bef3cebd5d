import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SurgeryError } from '../graph/errors';
import { type Sequence, clipLength, clipNote, cutClips } from './clips';
import { type Dataset, type OpenOptions, type Split, datasetOf } from './dataset';
import { malformed, readData } from './fileBytes';

interface Recording extends Sequence {
  readonly actor: string;
  readonly start: number;
}

interface Index {
  readonly height: number;
  readonly width: number;
  readonly bytesPerFrame: number;
  readonly frames: number;
  readonly sequences: readonly { readonly actor: string; readonly action: string; readonly start: number; readonly frames: number }[];
}

/** Windows of the Weizmann actions (Gorelick et al. 2007) and the actors held out, as customary for the baseline of this data. */
const FRAMES = 16;
const STRIDE = 4;
const TEST_ACTORS = ['lena', 'moshe', 'shahar'];

const framesFile = (directory: string): string | undefined => readdirSync(directory).find((name) => /^frames.*\.bin(\.gz)?$/.test(name));

/** Silhouettes of recorded actions: index.json and one file of all frames with one bit a pixel. */
export const isSilhouetteFolder = (directory: string): boolean =>
  existsSync(join(directory, 'index.json')) && framesFile(directory) !== undefined;

/**
 * Clips [T, H W] of 0 and 255, split by actor. Options: frames and stride of the windows (16 and 4), test (names of the actors
 * held out; the last third where the customary ones are not there).
 */
export function openSilhouetteFolder(directory: string, options: OpenOptions): Dataset {
  const index = readIndex(join(directory, 'index.json'));
  const file = join(directory, framesFile(directory) ?? '');
  const bytes = readData(file);
  if (bytes.length !== index.frames * index.bytesPerFrame)
    throw malformed(
      file,
      bytes.length,
      `ends here; ${index.frames} frames of ${index.bytesPerFrame} bytes are ${index.frames * index.bytesPerFrame}`,
    );
  const classes = [...new Set(index.sequences.map((s) => s.action))].sort();
  const recordings = index.sequences.map(({ actor, action, start, frames }) => ({ actor, start, frames, label: classes.indexOf(action) }));
  const held = heldActors([...new Set(recordings.map((r) => r.actor))].sort(), options.test, directory);
  const cut = { ...options, frames: options.frames ?? FRAMES, stride: options.stride ?? STRIDE };
  const length = clipLength(recordings, cut);
  const part = (test: boolean): Split =>
    clipSplit(
      recordings.filter((r) => held.has(r.actor) === test),
      index,
      bytes,
      length,
      cut.stride,
    );
  const [train, test] = [part(false), part(true)];
  return datasetOf(directory, classes, train, test, [
    'format: silhouettes, one bit a pixel',
    `layout: N, T, F, frames of ${index.height} x ${index.width} pixels flattened`,
    clipNote(train.count + test.count, recordings.length, length, cut.stride),
    `split: by actor, ${[...held].join(', ')} for testing (${test.count} clips), the others for training (${train.count})`,
  ]);
}

function readIndex(file: string): Index {
  const fail = (reason: string): never => {
    throw malformed(file, 0, reason);
  };
  let index: Partial<Index>;
  try {
    index = JSON.parse(readFileSync(file, 'utf8')) as Partial<Index>;
  } catch (error) {
    return fail(`is no JSON (${(error as Error).message})`);
  }
  const { height = 0, width = 0, bytesPerFrame = 0, sequences } = index;
  if (!Array.isArray(sequences) || sequences.length === 0 || bytesPerFrame * 8 < height * width || height * width === 0)
    return fail('must state height, width, bytesPerFrame, frames and sequences');
  return index as Index;
}

function heldActors(actors: readonly string[], asked: readonly string[] | undefined, directory: string): Set<string> {
  const customary = TEST_ACTORS.every((name) => actors.includes(name)) ? TEST_ACTORS : actors.slice(-Math.ceil(actors.length / 3));
  const held = asked ?? customary;
  const unknown = held.find((name) => !actors.includes(name));
  if (unknown !== undefined)
    throw new SurgeryError('option-invalid', `${directory}: there is no actor ${unknown} to test on; there are ${actors.join(', ')}`);
  return new Set(held);
}

/** Eight pixels of every byte, the first in the highest bit. */
const BITS = Array.from({ length: 256 }, (_, byte) => Uint8Array.from({ length: 8 }, (_, bit) => ((byte >> (7 - bit)) & 1) * 255));

function clipSplit(recordings: readonly Recording[], index: Index, bytes: Uint8Array, length: number, stride: number): Split {
  const clips = cutClips(recordings, length, stride);
  const pixels = index.height * index.width;
  const frame = new Uint8Array(index.bytesPerFrame * 8);
  return {
    layout: 'TF',
    sampleShape: [length, pixels],
    element: 'uint8',
    count: clips.length,
    labels: Int32Array.from(clips, (clip) => recordings[clip.sequence]?.label ?? 0),
    read(i) {
      const clip = clips[i];
      const start = recordings[clip?.sequence ?? 0]?.start ?? 0;
      const sample = new Uint8Array(length * pixels);
      clip?.frames.forEach((f, t) => {
        const from = (start + f) * index.bytesPerFrame;
        for (let b = 0; b < index.bytesPerFrame; b++) frame.set(BITS[bytes[from + b] ?? 0] as Uint8Array, 8 * b);
        sample.set(frame.subarray(0, pixels), t * pixels);
      });
      return sample;
    },
  };
}

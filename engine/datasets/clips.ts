import { SurgeryError } from '../graph/errors';
import type { OpenOptions } from './dataset';

/** One recorded sequence of frames. */
export interface Sequence {
  readonly label: number;
  readonly frames: number;
}

/** A sample: the frames it takes from a sequence, in order. */
export interface Clip {
  readonly sequence: number;
  readonly frames: readonly number[];
}

/**
 * Clips of one length from sequences of any length. With a stride they are windows of consecutive frames that begin that many
 * frames apart; without one each sequence gives one clip of frames spread evenly over it (shorter sequences repeat frames).
 */
export function cutClips(sequences: readonly Sequence[], length: number, stride?: number): Clip[] {
  return sequences.flatMap(({ frames }, sequence) => {
    const spread = (i: number): number => (length === 1 ? 0 : Math.round((i * (frames - 1)) / (length - 1)));
    if (stride === undefined) return [{ sequence, frames: Array.from({ length }, (_, i) => spread(i)) }];
    const count = Math.max(0, Math.floor((frames - length) / stride) + 1);
    return Array.from({ length: count }, (_, k) => ({ sequence, frames: Array.from({ length }, (_, i) => k * stride + i) }));
  });
}

export const clipNote = (clips: number, sequences: number, length: number, stride?: number): string =>
  stride === undefined
    ? `clips: ${length} frames spread evenly over each of ${sequences} sequences`
    : `clips: ${clips} windows of ${length} frames, ${stride} frames apart, from ${sequences} sequences`;

/** The option's clip length, or the length of the shortest sequence. */
export function clipLength(sequences: readonly Sequence[], options: OpenOptions): number {
  const shortest = Math.min(...sequences.map((s) => s.frames));
  const length = options.frames ?? shortest;
  if (options.stride !== undefined && sequences.every((s) => s.frames < length))
    throw new SurgeryError('option-invalid', `Clips of ${length} frames are longer than every sequence of the data; give fewer frames`);
  return length;
}

import { Random } from '../graph/random';
import { type Dataset, arraySplit, datasetOf } from './dataset';
import { type Outline, OUTLINES } from './outlines';
import { coverage } from './shapes';

export interface MotionOptions {
  readonly classes: number;
  readonly frames: number;
  readonly size: number;
  /** Training and test clips together; a sixth is for testing. */
  readonly count: number;
  readonly seed: number;
}

/** Place and radius of the figure in picture widths at time t in [0, 1]. */
type Motion = (t: number) => { x: number; y: number; radius: number };

/** How a clip's own speed, place, size and phase make its motion. */
interface Variation {
  /** Travelled in the whole clip, in picture widths. */
  readonly travel: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly phase: number;
}

const straight =
  (dx: number, dy: number) =>
  ({ travel, x, y, radius }: Variation): Motion =>
  (t) => ({ x: x + dx * travel * (t - 0.5), y: y + dy * travel * (t - 0.5), radius });

const circling =
  (direction: number) =>
  ({ travel, x, y, radius, phase }: Variation): Motion =>
  (t) => {
    const angle = phase + direction * travel * 8 * t;
    return { x: x + 0.2 * Math.cos(angle), y: y + 0.2 * Math.sin(angle), radius };
  };

const scaling =
  (direction: number) =>
  ({ travel, x, y, radius }: Variation): Motion =>
  (t) => ({ x, y, radius: radius * (1 + direction * travel * 1.2 * (t - 0.5)) });

/** Motions in the order that classes are taken. */
const MOTIONS: readonly (readonly [name: string, make: (v: Variation) => Motion])[] = [
  ['right', straight(1, 0)],
  ['left', straight(-1, 0)],
  ['down', straight(0, 1)],
  ['up', straight(0, -1)],
  ['clockwise', circling(1)],
  ['anticlockwise', circling(-1)],
  ['growing', scaling(1)],
  ['shrinking', scaling(-1)],
  [
    'swinging',
    ({ travel, x, y, radius, phase }) =>
      (t) => ({ x: x + 0.2 * Math.sin(phase + 14 * travel * t), y, radius }),
  ],
  [
    'still',
    ({ x, y, radius }) =>
      () => ({ x, y, radius }),
  ],
];

export const MOTION_CLASSES: readonly string[] = MOTIONS.map(([name]) => name);

/** Clips [frames, size * size] of one bright figure that moves over a dark, noisy ground; the class is the motion, and no frame alone tells it. */
export function generateMotions(options: MotionOptions, name: string): Dataset {
  const { classes, count, seed } = options;
  const test = Math.floor(count / 6);
  const train = drawSplit(options, new Random(seed, 2), count - test);
  const held = drawSplit(options, new Random(seed, 3), test);
  const notes = [
    `format: drawn clips, seed ${seed}`,
    'layout: N, T, F, a frame of size x size pixels flattened',
    `split: ${count - test} and ${test} clips of independent streams`,
  ];
  return datasetOf(name, MOTION_CLASSES.slice(0, classes), train, held, notes);
}

function drawSplit(options: MotionOptions, random: Random, count: number) {
  const { classes, frames, size } = options;
  const data = new Uint8Array(count * frames * size * size);
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes);
  labels.forEach((label, i) => drawClip(data, i, options, label, random));
  return arraySplit({ layout: 'TF', sampleShape: [frames, size * size] }, data, labels);
}

function drawClip(data: Uint8Array, clip: number, { frames, size }: MotionOptions, label: number, random: Random): void {
  const motion = MOTIONS[label]?.[1]({
    travel: random.uniform(0.35, 0.6),
    x: random.uniform(0.4, 0.6),
    y: random.uniform(0.4, 0.6),
    radius: random.uniform(0.12, 0.22),
    phase: random.uniform(0, 2 * Math.PI),
  });
  const outline = OUTLINES[random.integer(4)]?.[1];
  if (!motion || !outline) return;
  const light = random.uniform(140, 255);
  const noise = random.uniform(2, 12);
  for (let frame = 0; frame < frames; frame++) {
    const place = motion(frame / (frames - 1));
    const pixels = data.subarray((clip * frames + frame) * size * size, (clip * frames + frame + 1) * size * size);
    drawFrame(pixels, size, place, outline, (part) => 30 + part * (light - 30) + noise * random.normal());
  }
}

function drawFrame(pixels: Uint8Array, size: number, place: ReturnType<Motion>, outline: Outline, shade: (part: number) => number): void {
  const radius = place.radius * size;
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const distance = radius * outline((x + 0.5 - place.x * size) / radius, (y + 0.5 - place.y * size) / radius);
      pixels[y * size + x] = Math.max(0, Math.min(255, Math.round(shade(coverage(distance)))));
    }
}

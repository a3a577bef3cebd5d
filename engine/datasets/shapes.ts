import { Random } from '../graph/random';
import { type Dataset, arraySplit, datasetOf } from './dataset';
import { OUTLINES, type Outline } from './outlines';

export interface ShapeOptions {
  readonly classes: number;
  readonly size: number;
  readonly channels: number;
  /** Training and test samples together; a sixth is for testing. */
  readonly count: number;
  readonly seed: number;
}

export const SHAPE_CLASSES: readonly string[] = OUTLINES.map(([name]) => name);

/** Least difference of brightness between figure and ground, of 255. */
const CONTRAST = 60;

/**
 * Images [C, size, size] of one anti-aliased figure each, in any colours, at any place, of 40 to 85 % of the picture's size, turned up to
 * 20 degrees, over a shaded ground crossed by two lines, with noise. The class is the figure.
 */
export function generateShapes(options: ShapeOptions, name: string): Dataset {
  const { classes, count, seed } = options;
  const test = Math.floor(count / 6);
  const train = drawSplit(options, new Random(seed, 0), count - test);
  const held = drawSplit(options, new Random(seed, 1), test);
  const notes = [
    `format: drawn shapes, seed ${seed}`,
    'layout: N, C, H, W',
    `split: ${count - test} and ${test} images of independent streams`,
  ];
  return datasetOf(name, SHAPE_CLASSES.slice(0, classes), train, held, notes);
}

function drawSplit(options: ShapeOptions, random: Random, count: number) {
  const { classes, size, channels } = options;
  const length = channels * size * size;
  const data = new Uint8Array(count * length);
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes);
  const canvas = new Float32Array(length);
  labels.forEach((label, i) => {
    const outline = OUTLINES[label]?.[1];
    if (outline) drawImage(canvas, options, outline, random);
    for (let k = 0; k < length; k++) data[i * length + k] = Math.max(0, Math.min(255, Math.round(canvas[k] as number)));
  });
  return arraySplit({ layout: 'CHW', sampleShape: [channels, size, size] }, data, labels);
}

function drawImage(canvas: Float32Array, { size, channels }: ShapeOptions, outline: Outline, random: Random): void {
  const [ground, ink] = contrastingColours(channels, random);
  drawGround(canvas, size, ground, random);
  for (let line = 0; line < 2; line++) drawLine(canvas, size, colour(channels, random), random);
  drawFigure(canvas, size, ink, outline, random);
  const noise = random.uniform(4, 18);
  for (let i = 0; i < canvas.length; i++) canvas[i] = (canvas[i] as number) + noise * random.normal();
}

const colour = (channels: number, random: Random): number[] => Array.from({ length: channels }, () => random.uniform(0, 255));

const brightness = (channels: readonly number[]): number => channels.reduce((a, b) => a + b, 0) / channels.length;

function contrastingColours(channels: number, random: Random): [ground: number[], ink: number[]] {
  for (;;) {
    const ground = colour(channels, random);
    const ink = colour(channels, random);
    if (Math.abs(brightness(ground) - brightness(ink)) >= CONTRAST) return [ground, ink];
  }
}

/** One colour that gets up to 25 levels lighter and darker across the picture. */
function drawGround(canvas: Float32Array, size: number, ground: readonly number[], random: Random): void {
  const [slopeX, slopeY] = [random.uniform(-25, 25), random.uniform(-25, 25)];
  ground.forEach((level, c) => {
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) canvas[(c * size + y) * size + x] = level + slopeX * (x / size - 0.5) + slopeY * (y / size - 0.5);
  });
}

/** A half transparent line through the picture, about 1/32 of it wide. */
function drawLine(canvas: Float32Array, size: number, ink: readonly number[], random: Random): void {
  const angle = random.uniform(0, Math.PI);
  const [nx, ny] = [Math.cos(angle), Math.sin(angle)];
  const distance = nx * random.uniform(0, size) + ny * random.uniform(0, size);
  const half = size / 64;
  blend(canvas, size, ink, [0, size, 0, size], (x, y) => 0.5 * coverage(Math.abs(nx * x + ny * y - distance) - half));
}

function drawFigure(canvas: Float32Array, size: number, ink: readonly number[], outline: Outline, random: Random): void {
  const radius = size * random.uniform(0.2, 0.425);
  const reach = radius * 1.1;
  const centre = (): number => random.uniform(Math.min(reach, size / 2), Math.max(size - reach, size / 2));
  const [cx, cy] = [centre(), centre()];
  const angle = random.uniform(-0.35, 0.35);
  const [cos, sin] = [Math.cos(angle) / radius, Math.sin(angle) / radius];
  const extent = 1.5 * radius + 1;
  const low = (c: number): number => Math.max(0, Math.floor(c - extent));
  const high = (c: number): number => Math.min(size, Math.ceil(c + extent));
  blend(canvas, size, ink, [low(cx), high(cx), low(cy), high(cy)], (x, y) => {
    const [dx, dy] = [x - cx, y - cy];
    return coverage(radius * outline(cos * dx + sin * dy, cos * dy - sin * dx));
  });
}

/** Part of a pixel that a figure covers whose edge is `distance` pixels from the pixel's middle. */
export const coverage = (distance: number): number => Math.max(0, Math.min(1, 0.5 - distance));

type Window = readonly [left: number, right: number, top: number, bottom: number];

function blend(
  canvas: Float32Array,
  size: number,
  ink: readonly number[],
  window: Window,
  opacity: (x: number, y: number) => number,
): void {
  const [left, right, top, bottom] = window;
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++) {
      const part = opacity(x + 0.5, y + 0.5);
      if (part === 0) continue;
      ink.forEach((level, c) => {
        const at = (c * size + y) * size + x;
        const below = canvas[at] as number;
        canvas[at] = below + part * (level - below);
      });
    }
}

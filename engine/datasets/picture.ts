import { decode as decodeJpeg } from 'jpeg-js';
import { PNG } from 'pngjs';
import type { PictureForm } from './dataset';
import { malformed, readData } from './fileBytes';

interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8Array;
}

/** Pictures one after the other as planes R, G, B of 0 to 255, each [3, height, width]. Throws SurgeryError 'file-not-found' or 'data-malformed'. */
export function readPictures(files: readonly string[], { size: [height, width], exact }: PictureForm): Uint8Array {
  const length = 3 * height * width;
  const planes = new Uint8Array(files.length * length);
  files.forEach((file, i) => {
    const picture = readPicture(file);
    if (exact && (picture.height !== height || picture.width !== width))
      throw malformed(
        file,
        0,
        `has ${picture.height} x ${picture.width} pixels, the first picture ${height} x ${width}; give a size (folder?size=${height}x${width})`,
      );
    fit(picture, height, width, planes.subarray(i * length, (i + 1) * length));
  });
  return planes;
}

/** [height, width] of a picture. */
export function sizeOfPicture(file: string): [number, number] {
  const { height, width } = readPicture(file);
  return [height, width];
}

function readPicture(file: string): Picture {
  const bytes = readData(file);
  try {
    return /\.png$/i.test(file) ? PNG.sync.read(bytes) : decodeJpeg(bytes, { useTArray: true, maxMemoryUsageInMB: 2048 });
  } catch (error) {
    throw malformed(file, 0, `cannot be decoded (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** Scales so that the picture covers the size, by averaging or repeating pixels, and cuts out the middle; planes R, G, B. */
function fit({ width, height, data }: Picture, toHeight: number, toWidth: number, planes: Uint8Array): void {
  const scale = Math.max(toHeight / height, toWidth / width);
  const [offsetY, offsetX] = [(height - toHeight / scale) / 2, (width - toWidth / scale) / 2];
  const span = (at: number, offset: number, limit: number): [number, number] => {
    const from = Math.min(limit - 1, Math.max(0, Math.floor(offset + at / scale)));
    return [from, Math.min(limit, Math.max(from + 1, Math.round(offset + (at + 1) / scale)))];
  };
  for (let y = 0; y < toHeight; y++) {
    const [top, bottom] = span(y, offsetY, height);
    for (let x = 0; x < toWidth; x++) {
      const [left, right] = span(x, offsetX, width);
      for (let c = 0; c < 3; c++) planes[(c * toHeight + y) * toWidth + x] = mean(data, width, [top, bottom, left, right], c);
    }
  }
}

function mean(
  data: Uint8Array,
  width: number,
  [top, bottom, left, right]: readonly [number, number, number, number],
  channel: number,
): number {
  let sum = 0;
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += data[(y * width + x) * 4 + channel] ?? 0;
  return Math.round(sum / ((bottom - top) * (right - left)));
}

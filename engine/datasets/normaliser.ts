import { SurgeryError } from '../graph/errors';
import { type SampleForm, channelsOf } from './dataset';

export interface Scaling {
  /** Mean of each channel, or one for all; after division by 255 for 8-bit samples unless `raw`. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Do not divide 8-bit samples by 255. */
  readonly raw?: boolean;
}

/** Where an image is cut out of its zero-padded self, and whether it is mirrored. */
export interface Placement {
  readonly dy: number;
  readonly dx: number;
  readonly flip: boolean;
}

/** Writes samples as float32 (v * scale - mean) / std; 8-bit values go through one table a channel. */
export class Normaliser {
  private readonly channels: number;
  private readonly factor: Float64Array;
  private readonly shift: Float64Array;
  private readonly tables: readonly Float32Array[];

  constructor(
    private readonly form: SampleForm,
    { mean = [0], std = [1], raw = false }: Scaling,
  ) {
    this.channels = channelsOf(form);
    const means = perChannel(mean, this.channels, '--mean');
    const deviations = perChannel(std, this.channels, '--std');
    if (deviations.some((d) => d === 0)) throw new SurgeryError('option-invalid', '--std has a zero; standard deviations are above zero');
    const scale = form.element === 'uint8' && !raw ? 1 / 255 : 1;
    this.factor = deviations.map((d) => scale / d);
    this.shift = means.map((m, c) => -m / (deviations[c] ?? 1));
    this.tables = form.element === 'uint8' && form.layout === 'CHW' ? Array.from(this.factor, (f, c) => table(f, this.shift[c] ?? 0)) : [];
  }

  /** One sample into `into` from `offset`. Images may be shifted and mirrored; what lies outside them is 0 before normalisation. */
  write(sample: Uint8Array | Float32Array, into: Float32Array, offset: number, placement?: Placement): void {
    if (this.form.layout !== 'CHW') this.writeFeatures(sample, into, offset);
    else if (placement) this.writeShifted(sample, into, offset, placement);
    else this.writePlain(sample, into, offset);
  }

  private writePlain(sample: Uint8Array | Float32Array, into: Float32Array, offset: number): void {
    const pixels = sample.length / this.channels;
    for (let c = 0; c < this.channels; c++) {
      const start = c * pixels;
      const lookup = this.tables[c];
      if (lookup) for (let i = start; i < start + pixels; i++) into[offset + i] = lookup[sample[i] as number] as number;
      else {
        const [factor, shift] = this.scaleOf(c);
        for (let i = start; i < start + pixels; i++) into[offset + i] = (sample[i] as number) * factor + shift;
      }
    }
  }

  private writeShifted(sample: Uint8Array | Float32Array, into: Float32Array, offset: number, { dy, dx, flip }: Placement): void {
    const [, height = 1, width = 1] = this.form.sampleShape;
    const step = flip ? -1 : 1;
    for (let c = 0, at = offset; c < this.channels; c++) {
      const [factor, shift] = this.scaleOf(c);
      const lookup = this.tables[c];
      for (let y = 0; y < height; y++, at += width) {
        const row = y + dy;
        const base = (c * height + row) * width;
        const inside = row >= 0 && row < height;
        for (let x = 0, from = flip ? width - 1 + dx : dx; x < width; x++, from += step) {
          const value = inside && from >= 0 && from < width ? (sample[base + from] as number) : 0;
          into[at + x] = lookup ? (lookup[value] as number) : value * factor + shift;
        }
      }
    }
  }

  private writeFeatures(sample: Uint8Array | Float32Array, into: Float32Array, offset: number): void {
    for (let i = 0, c = 0; i < sample.length; i++) {
      into[offset + i] = (sample[i] as number) * (this.factor[c] as number) + (this.shift[c] as number);
      if (++c === this.channels) c = 0;
    }
  }

  private scaleOf(channel: number): [factor: number, shift: number] {
    return [this.factor[channel] ?? 1, this.shift[channel] ?? 0];
  }
}

const table = (factor: number, shift: number): Float32Array => Float32Array.from({ length: 256 }, (_, v) => v * factor + shift);

function perChannel(values: readonly number[], channels: number, option: string): Float64Array {
  if (values.length === channels) return Float64Array.from(values);
  if (values.length === 1) return new Float64Array(channels).fill(values[0] ?? 0);
  throw new SurgeryError(
    'option-invalid',
    `${option} has ${values.length} numbers; the data has ${channels} channel${channels === 1 ? '' : 's'}: give ${channels} or one for all`,
  );
}

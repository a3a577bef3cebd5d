import { SurgeryError } from '../graph/errors';
import { Random } from '../graph/random';
import type { Split } from './dataset';
import type { Placement } from './normaliser';

export interface Augmentation {
  /** Zero padding on every side before an image of the old size is cut out at random; 4 for CIFAR. */
  readonly crop?: number;
  /** Mirror half of the images left to right. */
  readonly flip?: boolean;
}

export interface OrderOptions {
  readonly batch: number;
  /** Order and augmentation depend on seed and epoch only; without it samples come in the order of the data. */
  readonly shuffle?: { readonly seed: number; readonly epoch: number };
  /** Images only; random by `shuffle`, which it needs. */
  readonly augment?: Augmentation;
}

/** A sample of the split and where it is cut out. */
export interface PlacedSample {
  readonly at: number;
  readonly placement?: Placement;
}

/** Says which samples make a batch and how each is augmented, batch after batch. */
export class SampleOrder {
  private next_ = 0;
  private readonly order: Uint32Array | undefined;
  private readonly random: Random | undefined;

  /** @throws SurgeryError 'option-invalid' */
  constructor(
    private readonly split: Split,
    private readonly options: OrderOptions,
  ) {
    const { batch, shuffle, augment } = options;
    if (!Number.isInteger(batch) || batch < 1)
      throw new SurgeryError('option-invalid', `A batch of ${batch} samples cannot be; give a whole number from 1`);
    if (augment && split.layout !== 'CHW')
      throw new SurgeryError(
        'option-invalid',
        `Random crop and flip are for images; samples of this data are ${split.layout} [${split.sampleShape.join(', ')}]`,
      );
    if (augment && !shuffle) throw new SurgeryError('option-invalid', 'Augmentation needs the seed and epoch of `shuffle`');
    this.order = shuffle && new Random(shuffle.seed, shuffle.epoch).permutation(split.count);
    this.random = shuffle && new Random(shuffle.seed, shuffle.epoch, 1);
  }

  next(): PlacedSample[] {
    const first = this.next_;
    this.next_ = Math.min(this.split.count, first + this.options.batch);
    return Array.from({ length: this.next_ - first }, (_, i) => ({
      at: this.order?.[first + i] ?? first + i,
      placement: this.placement(),
    }));
  }

  private placement(): Placement | undefined {
    const { augment } = this.options;
    const { random } = this;
    if (!augment || !random) return undefined;
    const crop = augment.crop ?? 0;
    const shift = (): number => random.integer(2 * crop + 1) - crop;
    return { dy: shift(), dx: shift(), flip: augment.flip === true && random.uniform() < 0.5 };
  }
}

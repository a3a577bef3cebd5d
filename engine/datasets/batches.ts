import { setImmediate as nextTurn } from 'node:timers/promises';
import { SurgeryError } from '../graph/errors';
import { Random } from '../graph/random';
import { type Tensor, elementCount } from '../graph/tensor';
import type { Split } from './dataset';
import { Normaliser, type Placement, type Scaling } from './normaliser';

export interface Augmentation {
  /** Zero padding on every side before an image of the old size is cut out at random; 4 for CIFAR. */
  readonly crop?: number;
  /** Mirror half of the images left to right. */
  readonly flip?: boolean;
}

export interface BatchOptions extends Scaling {
  readonly batch: number;
  /** Order and augmentation depend on seed and epoch only; without it samples come in the order of the data. */
  readonly shuffle?: { readonly seed: number; readonly epoch: number };
  /** Images only; random by `shuffle`, which it needs. */
  readonly augment?: Augmentation;
  /** Leave out a last batch that is not full. */
  readonly dropLast?: boolean;
}

export interface Batch {
  /** float32 [B, ...sample shape]. Its memory is used again: it holds until two more batches have been asked for. */
  readonly x: Tensor;
  /** int64 [B]. */
  readonly y: Tensor;
  /** int32 [B], where the data has sequences of different lengths. */
  readonly lengths?: Tensor;
}

/** Buffers that batches take turns in: one in use, one waiting, one being filled. */
const RING = 3;
/** Loading gives way to other work after this many milliseconds. */
const SLICE_MS = 8;

export const batchCount = (split: Split, batch: number, dropLast = false): number =>
  dropLast ? Math.floor(split.count / batch) : Math.ceil(split.count / batch);

/**
 * The samples of a split in batches. The next batch is loaded, augmented and normalised on this thread while the caller awaits
 * the network's computation, which runs on the runtime's threads. Throws SurgeryError 'option-invalid' and what reading throws.
 */
export async function* batches(split: Split, options: BatchOptions): AsyncGenerator<Batch, void, undefined> {
  const loader = new BatchLoader(split, options);
  const count = batchCount(split, options.batch, options.dropLast);
  let pending = count > 0 ? loader.load(0) : undefined;
  for (let i = 0; pending; i++) {
    const ready = await pending;
    pending = i + 1 < count ? afterTurn(() => loader.load(i + 1)) : undefined;
    yield ready;
  }
}

/** Starts once the caller has had its turn. A failure waits until the batch is asked for. */
function afterTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = nextTurn().then(work);
  result.catch(() => undefined);
  return result;
}

class BatchLoader {
  private readonly size: number;
  private readonly order: Uint32Array | undefined;
  private readonly random: Random | undefined;
  private readonly normaliser: Normaliser;
  private readonly ring: { x: Float32Array; y: BigInt64Array }[];

  constructor(
    private readonly split: Split,
    private readonly options: BatchOptions,
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
    this.size = elementCount(split.sampleShape);
    this.order = shuffle && new Random(shuffle.seed, shuffle.epoch).permutation(split.count);
    this.random = shuffle && new Random(shuffle.seed, shuffle.epoch, 1);
    this.normaliser = new Normaliser(split, options);
    const length = Math.min(batch, split.count);
    this.ring = Array.from({ length: RING }, () => ({ x: new Float32Array(length * this.size), y: new BigInt64Array(length) }));
  }

  async load(index: number): Promise<Batch> {
    const { x, y } = this.ring[index % RING] as { x: Float32Array; y: BigInt64Array };
    const first = index * this.options.batch;
    const count = Math.min(this.options.batch, this.split.count - first);
    const lengths = this.split.lengths && new Int32Array(count);
    let started = performance.now();
    for (let i = 0; i < count; i++) {
      const at = this.order?.[first + i] ?? first + i;
      this.normaliser.write(this.split.read(at), x, i * this.size, this.placement());
      y[i] = BigInt(this.split.labels[at] ?? 0);
      if (lengths) lengths[i] = this.split.lengths[at] ?? 0;
      if (performance.now() - started < SLICE_MS) continue;
      await nextTurn();
      started = performance.now();
    }
    return {
      x: { type: 'float32', dims: [count, ...this.split.sampleShape], data: x.subarray(0, count * this.size) },
      y: { type: 'int64', dims: [count], data: y.subarray(0, count) },
      ...(lengths ? { lengths: { type: 'int32', dims: [count], data: lengths } } : {}),
    };
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

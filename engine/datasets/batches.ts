import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Tensor, elementCount } from '../graph/tensor';
import type { Split } from './dataset';
import { DecodeWorkers, workersThatPay } from './decodeWorkers';
import { Normaliser, type Scaling } from './normaliser';
import { type OrderOptions, type PlacedSample, SampleOrder } from './sampleOrder';

export interface BatchOptions extends Scaling, OrderOptions {
  /** Leave out a last batch that is not full. */
  readonly dropLast?: boolean;
  /** Threads that decode pictures; by default as many as pay, after the time that the first batch took. */
  readonly workers?: number;
}

export interface Batch {
  /** float32 [B, ...sample shape]. Its memory is used again: it holds until two more batches have been asked for. */
  readonly x: Tensor;
  /** int64 [B]. */
  readonly y: Tensor;
  /** int32 [B], where the data has sequences of different lengths. */
  readonly lengths?: Tensor;
}

/** Batches that are loaded while one is in use. */
const AHEAD = { alone: 1, withWorkers: 2 };
/** Loading gives way to other work after this many milliseconds. */
const SLICE_MS = 8;

export const batchCount = (split: Split, batch: number, dropLast = false): number =>
  dropLast ? Math.floor(split.count / batch) : Math.ceil(split.count / batch);

/**
 * The samples of a split in batches. The next ones are loaded, augmented and normalised while the caller awaits the network's computation: pictures by workers
 * where that pays, all else on this thread, which the network's computation leaves free. Workers end when the iteration is
 * left early, or a few seconds after it. Throws SurgeryError 'option-invalid' and what reading throws.
 */
export async function* batches(split: Split, options: BatchOptions): AsyncGenerator<Batch, void, undefined> {
  const loader = new BatchLoader(split, options);
  const count = batchCount(split, options.batch, options.dropLast);
  const coming: Promise<Batch>[] = [];
  let asked = 0;
  let isDone = false;
  try {
    loader.startWorkers(options.workers ?? workersThatPay(0));
    while (asked < count || coming.length > 0) {
      const started = performance.now();
      const ready = await (coming.shift() ?? loader.load(asked++));
      if (asked === 1) loader.startWorkers(options.workers ?? workersThatPay((count - 1) * (performance.now() - started)));
      while (asked < count && coming.length < loader.ahead) coming.push(afterTurn(loader, asked++));
      yield ready;
    }
    isDone = true;
  } finally {
    await loader.close(isDone);
  }
}

/** Starts once the caller has had its turn. A failure waits until the batch is asked for. */
function afterTurn(loader: BatchLoader, index: number): Promise<Batch> {
  const result = nextTurn().then(() => loader.load(index));
  result.catch(() => undefined);
  return result;
}

interface Slot {
  readonly x: Float32Array;
  readonly y: BigInt64Array;
}

/** Loads batches one after another into slots that they take turns in. */
class BatchLoader {
  private readonly size: number;
  private readonly order: SampleOrder;
  private readonly normaliser: Normaliser;
  private readonly slots: Slot[];
  private workers: DecodeWorkers | undefined;

  constructor(
    private readonly split: Split,
    private readonly options: BatchOptions,
  ) {
    this.size = elementCount(split.sampleShape);
    this.order = new SampleOrder(split, options);
    this.normaliser = new Normaliser(split, options);
    const length = Math.min(options.batch, split.count);
    const bytes = 4 * length * this.size;
    /** Beside those that are loaded one is in use and one was before. */
    const slots = 2 + (split.encoded ? AHEAD.withWorkers : AHEAD.alone);
    this.slots = Array.from({ length: slots }, () => ({
      x: new Float32Array(split.encoded ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)),
      y: new BigInt64Array(length),
    }));
  }

  get ahead(): number {
    return this.workers ? AHEAD.withWorkers : AHEAD.alone;
  }

  startWorkers(count: number): void {
    const { encoded } = this.split;
    if (!encoded || count === 0 || this.workers) return;
    const { layout, sampleShape, element } = this.split;
    const { mean, std, raw } = this.options;
    this.workers = new DecodeWorkers(count, encoded, {
      form: { layout, sampleShape, element },
      scaling: { mean, std, raw },
      slots: this.slots.map(({ x }) => x.buffer as SharedArrayBuffer),
    });
  }

  async close(isDone: boolean): Promise<void> {
    await this.workers?.close(isDone);
  }

  /** Batches are to be asked for in order. */
  async load(index: number): Promise<Batch> {
    const samples = this.order.next();
    const slot = index % this.slots.length;
    const { x, y } = this.slots[slot] as Slot;
    const { labels, lengths, sampleShape } = this.split;
    await (this.workers ? this.workers.load(slot, samples) : this.decode(samples, x));
    samples.forEach(({ at }, i) => (y[i] = BigInt(labels[at] ?? 0)));
    const count = samples.length;
    return {
      x: { type: 'float32', dims: [count, ...sampleShape], data: x.subarray(0, count * this.size) },
      y: { type: 'int64', dims: [count], data: y.subarray(0, count) },
      ...(lengths ? { lengths: { type: 'int32', dims: [count], data: Int32Array.from(samples, ({ at }) => lengths[at] ?? 0) } } : {}),
    };
  }

  private async decode(samples: readonly PlacedSample[], x: Float32Array): Promise<void> {
    let started = performance.now();
    for (const [i, { at, placement }] of samples.entries()) {
      this.normaliser.write(this.split.read(at), x, i * this.size, placement);
      if (performance.now() - started < SLICE_MS) continue;
      await nextTurn();
      started = performance.now();
    }
  }
}

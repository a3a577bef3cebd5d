import type { DataOptions } from '../../contract/protocol';
import { batchCount, batches } from '../../datasets/batches';
import { elementCount } from '../../graph/tensor';
import { type Dataset, type Split, firstOf } from '../../datasets/dataset';
import { openDataset } from '../../datasets/openDataset';
import type { BatchSource } from '../../training/train';
import type { Batch } from '../../training/evaluate';

export type DataFlags = Omit<DataOptions, 'limit'> & { readonly limit?: number };

export const openData = (options: DataFlags): Promise<Dataset> => openDataset(options.data);

const scaling = ({ mean, std, raw }: DataFlags): { mean?: readonly number[]; std?: readonly number[]; raw?: boolean } => ({
  mean,
  std,
  raw,
});

/** Test samples in order. */
export function testBatches(data: Dataset, options: DataFlags, batch: number): { count: number; batches: AsyncIterable<Batch> } {
  const split = firstOf(data.test, options.limit);
  return { count: split.count, batches: batches(split, { batch, ...scaling(options) }) };
}

/** Full batches of training samples in a fixed random order, without augmentation. */
export function scoringBatches(data: Dataset, options: DataFlags, batch: number, seed: number): AsyncIterable<Batch> {
  return batches(firstOf(data.train, options.limit), { batch, ...scaling(options), shuffle: { seed, epoch: 0 }, dropLast: true });
}

/** Samples of an evaluation batch: 250, or as many as 64 MiB hold. */
export const evaluationBatchOf = (data: Dataset): number =>
  Math.max(1, Math.min(250, Math.floor(2 ** 24 / elementCount(data.sampleShape))));

export interface TrainingData {
  readonly batch: number;
  readonly seed: number;
  readonly augment?: boolean;
  readonly evaluationBatch?: number;
}

export function trainingSource(
  data: Dataset,
  options: DataFlags,
  { batch, seed, augment, evaluationBatch = evaluationBatchOf(data) }: TrainingData,
): BatchSource {
  const split: Split = firstOf(data.train, options.limit);
  return {
    stepsPerEpoch: batchCount(split, batch, true),
    train: (epoch) =>
      batches(split, {
        batch,
        ...scaling(options),
        shuffle: { seed, epoch },
        augment: augment ? { crop: 4, flip: true } : undefined,
        dropLast: true,
      }),
    test: data.test.count > 0 ? () => batches(data.test, { batch: evaluationBatch, ...scaling(options) }) : undefined,
  };
}

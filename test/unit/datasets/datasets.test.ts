import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { PNG } from 'pngjs';
import { batches } from '../../../engine/datasets/batches';
import { openDataset } from '../../../engine/datasets/openDataset';
import { writeNpz } from '../../../engine/formats/npy/npz';
import { type Tensor, float32, int64 } from '../../../engine/graph/tensor';

function idx(type: number, dims: number[], data: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = type;
  header[3] = dims.length;
  dims.forEach((d, i) => header.writeUInt32BE(d, 4 + 4 * i));
  return Buffer.concat([header, data]);
}

async function collect<T>(items: AsyncIterable<T>, take: (item: T) => unknown): Promise<unknown[]> {
  const result: unknown[] = [];
  for await (const item of items) result.push(take(item));
  return result;
}

describe('data', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-data-'));
  const at = (...parts: string[]): string => path.join(folder, ...parts);
  after(() => rmSync(folder, { recursive: true }));

  it('reads IDX files, packed or not', async () => {
    mkdirSync(at('idx'));
    const pixels = Uint8Array.from({ length: 4 * 6 }, (_, i) => i);
    writeFileSync(at('idx', 'train-images-idx3-ubyte.gz'), gzipSync(idx(8, [4, 2, 3], pixels)));
    writeFileSync(at('idx', 'train-labels-idx1-ubyte.gz'), gzipSync(idx(8, [4], Uint8Array.of(0, 1, 2, 1))));
    writeFileSync(at('idx', 't10k-images-idx3-ubyte'), idx(8, [2, 2, 3], pixels.subarray(0, 12)));
    writeFileSync(at('idx', 't10k-labels-idx1-ubyte'), idx(8, [2], Uint8Array.of(2, 0)));
    const data = await openDataset(at('idx'));
    assert.deepEqual([data.train.count, data.test.count, data.classes.length, data.sampleShape], [4, 2, 3, [1, 2, 3]]);
    assert.deepEqual([...data.train.read(1)], [6, 7, 8, 9, 10, 11]);
    writeFileSync(at('idx', 't10k-images-idx3-ubyte'), idx(8, [2, 2, 3], pixels.subarray(0, 5)));
    await assert.rejects(openDataset(at('idx')), /t10k-images.*offset \d+/);
  });

  it('reads CIFAR binary batches and says where one is cut short', async () => {
    mkdirSync(at('cifar'));
    const record = (label: number): Uint8Array => Uint8Array.from({ length: 3073 }, (_, i) => (i === 0 ? label : i % 251));
    writeFileSync(at('cifar', 'data_batch_1.bin'), Buffer.concat([record(3), record(7)]));
    writeFileSync(at('cifar', 'test_batch.bin'), record(9));
    const data = await openDataset(at('cifar'));
    assert.deepEqual([[...data.train.labels], [...data.test.labels], data.sampleShape], [[3, 7], [9], [3, 32, 32]]);
    writeFileSync(at('cifar', 'test_batch.bin'), record(9).subarray(0, 100));
    await assert.rejects(openDataset(at('cifar')), /test_batch\.bin, offset 0: ends in the middle of a record/);
  });

  it('reads class folders of images', async () => {
    for (const [name, grey] of [
      ['cat', 10],
      ['dog', 200],
    ] as const) {
      mkdirSync(at('images', name), { recursive: true });
      for (let i = 0; i < 5; i++) {
        const png = new PNG({ width: 4, height: 4 });
        png.data.fill(grey);
        writeFileSync(at('images', name, `${i}.png`), PNG.sync.write(png));
      }
    }
    const data = await openDataset(`${at('images')}?size=2`);
    assert.deepEqual([data.classes, data.sampleShape, data.train.count, data.test.count], [['cat', 'dog'], [3, 2, 2], 8, 2]);
    assert.ok([...data.train.read(0)].every((v) => v === (data.train.labels[0] === 0 ? 10 : 200)));
    writeFileSync(at('images', 'dog', '0.png'), 'no picture');
    await assert.rejects(async () => (await openDataset(`${at('images')}?size=2&holdout=0`)).train.read(5), /0\.png/);
  });

  it('reads .npz and normalises by channel', async () => {
    const x: Tensor = float32([2, 2, 2, 2], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]);
    writeNpz(
      at('d.npz'),
      new Map<string, Tensor>([
        ['x', x],
        ['y', int64([2], [0, 1])],
      ]),
    );
    const data = await openDataset(`${at('d.npz')}?holdout=0`);
    const [scaled] = await collect(batches(data.train, { batch: 2, mean: [1, 2], std: [2, 1] }), ({ x }) => [...(x.data as Float32Array)]);
    assert.deepEqual(scaled, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
  });

  it('draws the same shapes from the same seed, and shuffles by seed and epoch', async () => {
    const spec = 'generated:shapes?classes=4&size=12&seed=3&count=40';
    const [a, b] = [await openDataset(spec), await openDataset(spec)];
    assert.deepEqual([...a.train.read(5)], [...b.train.read(5)]);
    const order = (seed: number, epoch: number) =>
      collect(batches(a.train, { batch: 8, shuffle: { seed, epoch }, augment: { crop: 2, flip: true } }), ({ x, y }) => [
        [...(x.data as Float32Array)],
        y.data.join(),
      ]);
    assert.deepEqual(await order(1, 0), await order(1, 0));
    assert.notDeepEqual(await order(1, 0), await order(1, 1));
  });
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Worker } from 'node:worker_threads';
import { encode as encodeJpeg } from 'jpeg-js';
import { PNG } from 'pngjs';
import { createModel } from '../../../engine/architectures/createModel';
import { type BatchOptions, batches } from '../../../engine/datasets/batches';
import type { Split } from '../../../engine/datasets/dataset';
import { workersThatPay } from '../../../engine/datasets/decodeWorkers';
import { openDataset } from '../../../engine/datasets/openDataset';
import { Random } from '../../../engine/graph/random';
import { JsRuntime } from '../../../engine/runtime/onnxruntime/jsRuntime';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { evaluate } from '../../../engine/training/evaluate';
import { train } from '../../../engine/training/train';
import { assertClose } from '../../support/close';
import { openWebAssembly, tensorFlow, useCpu } from '../../support/tensorFlow';

const SIZE = 20;

function writePicture(file: string, seed: number, size = SIZE): void {
  const random = new Random(seed);
  const data = Buffer.from(Uint8Array.from({ length: 4 * size * size }, () => random.integer(256)));
  const png = new PNG({ width: size, height: size });
  data.copy(png.data);
  writeFileSync(file, file.endsWith('.png') ? PNG.sync.write(png) : encodeJpeg({ width: size, height: size, data }, 90).data);
}

/** x and y of every batch, copied. */
async function contents(split: Split, options: BatchOptions): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { x, y } of batches(split, options)) found.push([...(x.data as Float32Array)], [...(y.data as BigInt64Array)], x.dims);
  return found;
}

describe('decoding in workers', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-decode-'));
  const started: Worker[] = [];
  const running = new Set<Worker>();
  const watch = (worker: Worker): void => {
    started.push(worker);
    running.add(worker.once('exit', () => running.delete(worker)));
  };
  const open = async (query = '?holdout=0'): Promise<Split> => (await openDataset(path.join(folder, 'images') + query)).train;

  before(() => {
    process.on('worker', watch);
    for (const name of ['cat', 'dog', 'owl']) {
      mkdirSync(path.join(folder, 'images', name), { recursive: true });
      for (let i = 0; i < 7; i++) writePicture(path.join(folder, 'images', name, `${i}.${i % 2 ? 'jpg' : 'png'}`), i + name.length);
    }
  });
  after(() => {
    process.off('worker', watch);
    rmSync(folder, { recursive: true });
  });

  it('gives the batches that this thread gives, shuffled and augmented, bit for bit', async () => {
    const options = { batch: 4, shuffle: { seed: 3, epoch: 2 }, augment: { crop: 3, flip: true }, mean: [0.4, 0.5, 0.6], std: [0.2] };
    for (const [query, workers] of [
      ['?holdout=0', 2],
      ['?holdout=0.3&size=12x9', 1],
    ] as const) {
      const split = await open(query);
      const alone = await contents(split, { ...options, workers: 0, dropLast: true });
      assert.deepEqual(await contents(split, { ...options, workers, dropLast: true }), alone);
      assert.equal(alone.length, 3 * Math.floor(split.count / 4));
    }
    assert.equal(started.length, 2, 'workers are used again');
  });

  it('gives the clips that this thread gives', async () => {
    for (const [label, name] of ['left', 'right'].entries())
      for (let clip = 0; clip < 3; clip++) {
        mkdirSync(path.join(folder, 'clips', name, `${clip}`), { recursive: true });
        for (let t = 0; t < 4; t++) writePicture(path.join(folder, 'clips', name, `${clip}`, `${t}.png`), 100 * label + 10 * clip + t, 6);
      }
    const { train } = await openDataset(`${path.join(folder, 'clips')}?frames=3&holdout=0`);
    assert.deepEqual(await contents(train, { batch: 2, workers: 2 }), await contents(train, { batch: 2, workers: 0 }));
  });

  it('names the picture that this thread names first, in its turn', async () => {
    const split = await open();
    const options = { batch: 6, shuffle: { seed: 1, epoch: 0 } };
    const order = new Random(1, 0).permutation(split.count);
    const files = [8, 10].map((i) => split.encoded?.files(order[i] ?? 0)[0] ?? '');
    files.forEach((file) => writeFileSync(file, 'no picture'));
    for (const workers of [0, 2]) {
      let seen = 0;
      const use = async (): Promise<void> => {
        for await (const { y } of batches(split, { ...options, workers })) seen += y.dims[0] ?? 0;
      };
      await assert.rejects(use(), (error: Error & { code?: string }) => {
        assert.deepEqual(
          [error.name, error.code, error.message.startsWith(`${files[0] ?? ''}, offset 0`)],
          ['SurgeryError', 'data-malformed', true],
        );
        return true;
      });
      assert.equal(seen, 6);
    }
    files.forEach((file, i) => writePicture(file, i));
    const other = path.join(folder, 'images', 'owl', '3.jpg');
    writePicture(other, 1, SIZE + 1);
    await assert.rejects(contents(split, { batch: 21, workers: 2 }), /owl.3\.jpg.*21 x 21 pixels.*size=20x20/);
    writePicture(other, 1);
  });

  it('fills memory that every runtime takes', async () => {
    const split = await open();
    const network = createModel('mlp', { input: [3, SIZE, SIZE], classes: 3, seed: 1 });
    const losses: number[] = [];
    for (const runtime of [openRuntime(), new JsRuntime(), tensorFlow, await openWebAssembly()])
      losses.push((await evaluate(runtime, network, batches(split, { batch: 8, workers: 1 }))).loss);
    await useCpu();
    assertClose(losses, Array<number>(4).fill(losses[0] ?? NaN), 1e-5, 'losses');
  });

  it('leaves no worker when training is cancelled', async () => {
    const split = await open();
    const network = createModel('mlp', { input: [3, SIZE, SIZE], classes: 3, seed: 1 });
    const abort = new AbortController();
    let steps = 0;
    const source = { stepsPerEpoch: 10, train: (epoch: number) => batches(split, { batch: 2, shuffle: { seed: 1, epoch }, workers: 2 }) };
    const cancelled = train(openRuntime(), network, source, {
      epochs: 1,
      batch: 2,
      optimiser: { kind: 'sgd' },
      schedule: { kind: 'constant', rate: 0.01 },
      signal: abort.signal,
      onStep: () => ++steps === 2 && abort.abort(),
    });
    await assert.rejects(cancelled);
    assert.equal(steps, 2);
    assert.equal(running.size, 0);
  });

  it('starts workers only for pictures that take a while', async () => {
    const before = started.length;
    const split = await open();
    await contents(split, { batch: 4 });
    assert.equal(started.length, before);
    assert.equal(workersThatPay(100), 0);
    assert.ok(workersThatPay(10_000) > 0);
  });
});

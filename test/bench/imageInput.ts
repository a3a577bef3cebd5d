/**
 * Training of a small network on a folder of JPEGs, scaled to --size, with and without workers that decode them, in turns.
 * `npx tsx test/bench/imageInput.ts [--images 256] [--pixels 224] [--size 64] [--batch 32] [--rounds 3] [--network small-cnn]`. It reports; it asserts nothing.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { encode } from 'jpeg-js';
import { createModel } from '../../engine/architectures/createModel';
import { batchCount, batches } from '../../engine/datasets/batches';
import { openDataset } from '../../engine/datasets/openDataset';
import { Random } from '../../engine/graph/random';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';

const value = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`);
  return (at < 0 ? undefined : process.argv[at + 1]) ?? fallback;
};

/** Soft stripes with some noise: about as many bytes a pixel as a photograph. */
function picture(size: number, seed: number): Buffer {
  const random = new Random(seed);
  const slope = random.uniform(0.02, 0.2);
  const data = Buffer.alloc(4 * size * size);
  for (let i = 0; i < data.length; i++)
    data[i] = 128 + 60 * Math.sin(slope * (Math.floor(i / 4 / size) + (i % (4 * size)))) + random.integer(24);
  return encode({ width: size, height: size, data }, 85).data;
}

function writeFolder(folder: string, images: number, size: number): void {
  for (const name of ['a', 'b']) mkdirSync(path.join(folder, name));
  for (let i = 0; i < images; i++) writeFileSync(path.join(folder, i % 2 ? 'a' : 'b', `${i}.jpg`), picture(size, i));
}

async function main(): Promise<void> {
  const number = (name: string, fallback: number): number => Number(value(name, `${fallback}`));
  const [size, batch, rounds] = [number('size', 64), number('batch', 32), number('rounds', 3)];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-jpegs-'));
  try {
    writeFolder(folder, number('images', 256), number('pixels', 224));
    const { train } = await openDataset(`${folder}?holdout=0&size=${size}`);
    const network = createModel(value('network', 'small-cnn'), { input: [3, size, size], classes: 2, seed: 1 });
    const trainer = await Trainer.create(openRuntime(), network, { batch, optimiser: { kind: 'sgd', momentum: 0.9 }, threads: 2 });
    const steps = batchCount(train, batch, true);
    for (let round = 0; round <= rounds; round++)
      for (const workers of [0, undefined]) {
        const start = performance.now();
        let computing = 0;
        for await (const { x, y } of batches(train, {
          batch,
          workers,
          shuffle: { seed: 1, epoch: round },
          augment: { crop: 4, flip: true },
          dropLast: true,
        }))
          computing += (await trainer.step(x, y, 0.001)).seconds * 1000;
        const ms = (performance.now() - start) / steps;
        const what = workers === 0 ? 'this thread' : 'workers';
        if (round > 0)
          console.log(`${what.padEnd(12)} ${ms.toFixed(0).padStart(5)} ms a step, of it ${(computing / steps).toFixed(0)} in the network`);
      }
    trainer.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

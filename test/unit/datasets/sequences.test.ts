import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { PNG } from 'pngjs';
import { batches } from '../../../engine/datasets/batches';
import { cutClips } from '../../../engine/datasets/clips';
import { openDataset } from '../../../engine/datasets/openDataset';
import { recurrentClassifier } from '../../../engine/architectures/recurrent';
import { evaluate } from '../../../engine/training/evaluate';
import { Trainer } from '../../../engine/training/trainer';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const header = ['# made for a test', '@problemName Ends', '@timeStamps false', '@classLabel true up down', '@data'].join('\n');

/** Series of 2 to 6 steps whose class is the sign of the last value; what is filled up behind tells nothing. */
function series(count: number, first: number): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const [steps, up] = [2 + ((i + first) % 5), (i * 7 + first) % 3 !== 0];
    const values = Array.from({ length: steps }, (_, t) => (t === steps - 1 ? (up ? 1 : -1) : Math.sin(i * 3 + t * 5 + first)));
    return `${values.join(',')}:${values.map(() => 0.5).join(',')}:${up ? 'up' : 'down'}`;
  });
  return `${header}\n${lines.join('\n')}\n`;
}

describe('sequence data', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-sequences-'));
  const at = (...parts: string[]): string => path.join(folder, ...parts);
  after(() => rmSync(folder, { recursive: true }));

  it('cuts windows, or spreads frames evenly', () => {
    const sequences = [
      { label: 0, frames: 10 },
      { label: 1, frames: 3 },
    ];
    assert.deepEqual(
      cutClips(sequences, 4, 3).map((c) => [c.sequence, c.frames[0]]),
      [
        [0, 0],
        [0, 3],
        [0, 6],
      ],
    );
    assert.deepEqual(
      cutClips(sequences, 4).map((c) => c.frames),
      [
        [0, 3, 6, 9],
        [0, 1, 1, 2],
      ],
    );
  });

  it('reads time series of different lengths, and says where one is broken', async () => {
    mkdirSync(at('ends'));
    writeFileSync(at('ends', 'Ends_TRAIN.ts'), series(20, 0));
    writeFileSync(at('ends', 'Ends_TEST.ts'), series(7, 50));
    const data = await openDataset(at('ends'));
    assert.deepEqual(
      [data.layout, data.sampleShape, data.train.count, data.test.count, [...data.classes]],
      ['TF', [6, 2], 20, 7, ['up', 'down']],
    );
    assert.deepEqual([...data.train.lengths!.subarray(0, 5)], [2, 3, 4, 5, 6]);
    const first = [...data.train.read(0)];
    assert.deepEqual([first[1], first[3], ...first.slice(4)], [0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0]);
    writeFileSync(at('broken.ts'), `${header}\n1,2:3,4:up\n1,?:3,4:down\n`);
    await assert.rejects(openDataset(at('broken.ts')), /broken\.ts, offset \d+: dimension 1 .* no number/);
  });

  it('trains and evaluates a network that takes the lengths', async function () {
    this.timeout(60_000);
    mkdirSync(at('lengths'));
    writeFileSync(at('lengths', 'L_TRAIN.ts'), series(96, 0));
    writeFileSync(at('lengths', 'L_TEST.ts'), series(30, 500));
    const data = await openDataset(at('lengths'));
    const runtime = openRuntime();
    const network = recurrentClassifier('gru', { input: [6, 2], classes: 2, hidden: 8, lengths: true, seed: 1 });
    const trainer = await Trainer.create(runtime, network, { batch: 32, optimiser: { kind: 'adam' } });
    try {
      for (let epoch = 0; epoch < 40; epoch++)
        for await (const { x, y, lengths } of batches(data.train, { batch: 32, shuffle: { seed: 1, epoch } }))
          await trainer.step(x, y, 0.03, { lengths });
      const { accuracy } = await evaluate(runtime, trainer.weights(), batches(data.test, { batch: 30 }));
      assert.ok(accuracy > 0.9, `${accuracy}`);
    } finally {
      trainer.dispose();
    }
  });

  it('reads class folders of clips', async () => {
    for (const [name, clip, frames] of [
      ['run', 'a', 3],
      ['run', 'b', 5],
      ['walk', 'c', 4],
    ] as const) {
      mkdirSync(at('clips', name, clip), { recursive: true });
      for (let f = 0; f < frames; f++) {
        const png = new PNG({ width: 2, height: 2 });
        png.data.fill(10 * (f + 1));
        writeFileSync(at('clips', name, clip, `${f + 8}.png`), PNG.sync.write(png));
      }
    }
    const data = await openDataset(`${at('clips')}?holdout=0`);
    assert.deepEqual(
      [data.layout, data.sampleShape, [...data.train.labels], [...data.classes]],
      ['TF', [3, 12], [0, 0, 1], ['run', 'walk']],
    );
    assert.deepEqual(
      [0, 12, 24].map((i) => data.train.read(1)[i]),
      [10, 30, 50],
    );
    const windows = await openDataset(`${at('clips')}?frames=3&stride=1&holdout=0`);
    assert.equal(windows.train.count, 1 + 3 + 2);
  });

  it('reads silhouettes and holds actors out', async () => {
    mkdirSync(at('silhouettes'));
    const sequences = ['ann', 'bob', 'cat'].map((actor, i) => ({ actor, action: i === 1 ? 'jump' : 'bend', start: 4 * i, frames: 4 }));
    writeFileSync(at('silhouettes', 'index.json'), JSON.stringify({ height: 2, width: 5, bytesPerFrame: 2, frames: 12, sequences }));
    writeFileSync(at('silhouettes', 'frames_1bit.bin.gz'), gzipSync(Uint8Array.from({ length: 24 }, (_, i) => (i % 2 ? 0x40 : 0x81))));
    const data = await openDataset(`${at('silhouettes')}?frames=2&stride=2`);
    assert.deepEqual([data.train.count, data.test.count, data.sampleShape], [4, 2, [2, 10]]);
    assert.deepEqual([...data.train.read(0).subarray(0, 10)], [255, 0, 0, 0, 0, 0, 0, 255, 0, 255]);
    assert.match(data.notes.join('\n'), /by actor, cat for testing/);
    await assert.rejects(openDataset(`${at('silhouettes')}?frames=2&test=dan`), /no actor dan/);
    await assert.rejects(openDataset(`${at('silhouettes')}?frames=9`), /longer than every sequence/);
  });
});

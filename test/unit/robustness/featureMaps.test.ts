import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createModel } from '../../../engine/architectures/createModel';
import type { NoiseOptions } from '../../../engine/contract/noise';
import { writeOnnx } from '../../../engine/formats/onnx/writeOnnx';
import { featureMaps } from '../../../engine/server/operations/featureMaps';

const DATA = 'generated:shapes?classes=3&size=16&count=60&channels=1';

describe('feature maps', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'feature-maps-'));
  const file = path.join(folder, 'model.onnx');
  const maps = (noise: NoiseOptions, layer: string, sample = 0) => featureMaps(file, { data: DATA, noise, layer, sample, channels: 4 });

  before(() => writeOnnx(createModel('small-cnn', { input: [1, 16, 16], classes: 3, seed: 1 }), file));
  after(() => rmSync(folder, { recursive: true }));

  for (const method of ['anl', 'canl', 'gaussian', 'adversarial'] as const)
    it(`differ where ${method} changes the layer`, async () => {
      const shown = await maps({ method }, 'bn1');
      assert.deepEqual([shown.height, shown.width, shown.channels.length], [16, 16, 4]);
      for (const { clean, noisy, difference, largest } of shown.channels) {
        for (const bytes of [clean, noisy, difference]) assert.equal(Buffer.from(bytes, 'base64').length, 256);
        assert.ok(largest > 0 && largest < 0.5, `largest difference ${largest}`);
      }
    });

  it('grow in difference with the strength, and have none before the first layer with noise', async () => {
    const largest = async (epsilon: number, layers?: string[]): Promise<number> =>
      Math.max(...(await maps({ method: 'anl', epsilon, layers }, 'bn1')).channels.map((c) => c.largest));
    assert.ok((await largest(0.5)) > 5 * (await largest(0.05)));
    assert.equal(await largest(0.5, ['bn2']), 0);
  });

  it('say which image or layer is not there', async () => {
    await assert.rejects(maps({ method: 'anl' }, 'bn1', 10), /There is no test image 10; they are numbered 0 to 9/);
    await assert.rejects(maps({ method: 'anl' }, 'bn9'), /no layer bn9/);
  });
});

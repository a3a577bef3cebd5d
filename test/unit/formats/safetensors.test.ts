import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readSafetensors, writeSafetensors } from '../../../engine/formats/safetensors/safetensors';
import { type Tensor, float32, int64 } from '../../../engine/graph/tensor';
import { sharedFile } from '../../support/shared';

describe('safetensors', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-safetensors-'));
  after(() => rmSync(folder, { recursive: true }));

  it('gives back what was written, names outside of ASCII too', () => {
    const file = path.join(folder, 'a.safetensors');
    const tensors = new Map<string, Tensor>([
      ['größe', float32([2, 3], [1, 2, 3, 4, 5, 6])],
      ['steps', int64([], [7])],
      ['empty', float32([0, 4])],
    ]);
    writeSafetensors(file, tensors);
    assert.deepEqual(readSafetensors(file), tensors);
  });

  it('says what is wrong with a file that is cut short', () => {
    const file = path.join(folder, 'b.safetensors');
    writeSafetensors(file, new Map([['w', float32([100])]]));
    truncateSync(file, 300);
    assert.throws(() => readSafetensors(file), /b.safetensors .*tensor w needs 400 bytes/);
    truncateSync(file, 4);
    assert.throws(() => readSafetensors(file), /is not a safetensors file or is cut short/);
  });

  const resnet20 = sharedFile('models/cifar10-resnet-akamaster/resnet20.safetensors');
  if (resnet20)
    it('reads a file that others wrote', () => assert.ok([...readSafetensors(resnet20).values()].every((t) => t.data.length > 0)));
});

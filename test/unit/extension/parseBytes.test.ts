import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatBytes, parseBytes } from '../../../engine/contract/format';

describe('sizes in bytes', () => {
  it('are read as they are written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 42 }), (bytes) => {
        const unit = 1024 ** Math.max(0, Math.floor(Math.log2(bytes) / 10));
        const read = parseBytes(formatBytes(bytes)) ?? NaN;
        assert.ok(Math.abs(read - bytes) <= 0.051 * unit + 1, `${bytes} as ${formatBytes(bytes)} is ${read}`);
      }),
    );
  });

  it('are refused when they are none', () => {
    for (const text of ['', '0', '-5MiB', 'twelve', '1.2.3 GB', '12 parsecs']) assert.equal(parseBytes(text), undefined, text);
  });
});

import assert from 'node:assert/strict';
import { kernelGranularity } from '../../../engine/ops/channelCosts';
import { withRounding } from '../../../engine/server/operations/roundTo';
import { reductionRealised } from '../../../engine/server/operations/measure';
import { SurgeryError } from '../../../engine/graph/errors';

const sweep = (time: (channels: number) => number) => Array.from({ length: 45 }, (_, i) => ({ channels: i + 4, ms: time(i + 4) }));

describe('what channel counts cost', () => {
  it('finds the steps of blocked kernels', () => {
    assert.equal(kernelGranularity(sweep((c) => Math.ceil(c / 16) ** 2)), 16);
    assert.equal(kernelGranularity(sweep((c) => Math.ceil(c / 8) ** 2)), 8);
  });

  it('rounds nothing where every channel costs', () => {
    assert.equal(kernelGranularity(sweep((c) => c * c)), 1);
    assert.equal(kernelGranularity([]), 1);
  });

  it('bears a few per cent of noise', () => {
    assert.equal(kernelGranularity(sweep((c) => Math.ceil(c / 16) ** 2 * (1 + 0.03 * Math.sin(9 * c)))), 16);
  });

  it('halves the multiple until a budget can be met, only when it was chosen by itself', async () => {
    const select = (multiple?: number): Promise<number> => {
      if ((multiple ?? 1) > 4) throw new SurgeryError('budget-impossible', 'too coarse');
      return Promise.resolve(multiple ?? 1);
    };
    assert.equal(await withRounding(16, true, (m) => Promise.resolve().then(() => select(m))), 4);
    await assert.rejects(
      withRounding(16, false, (m) => Promise.resolve().then(() => select(m))),
      /too coarse/,
    );
  });

  it('tells how much of the reduction in MACs became time', () => {
    const measured = (macs: number, latencyMs: number) => ({ parameters: 1, bytes: 1, macs, latencyMs });
    assert.ok(Math.abs((reductionRealised(measured(100, 10), measured(50, 8)) ?? 0) - 0.4) < 1e-12);
    assert.equal(reductionRealised(measured(100, 10), measured(100, 8)), undefined);
  });
});

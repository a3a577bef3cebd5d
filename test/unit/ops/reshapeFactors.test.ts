import assert from 'node:assert/strict';
import { carrierOf, commonFactors, factorRuns } from '../../../engine/ops/reshapeFactors';

/** Sizes of the factors, and the one that carries channels in the run that holds the axis. */
function carried(from: number[], to: number[], axis: number, channelAxis?: number): [number[], number | undefined] {
  const factors = commonFactors(from, to) ?? [];
  const run = factorRuns(factors).find((r) => r.some((f) => f.input === axis)) ?? [];
  const carrier = carrierOf(run, from, to, channelAxis);
  return [run.map((f) => f.size), carrier && run.indexOf(carrier)];
}

describe('the factors of a reshape', () => {
  it('carry a channel as a block of a flattened image, wherever the channels are', () => {
    assert.deepEqual(carried([3, 64, 7, 7], [3, 3136], 1, 1), [[64, 7, 7], 0]);
    assert.deepEqual(carried([3, 7, 7, 64], [3, 3136], 3, 3), [[7, 7, 64], 2]);
  });

  it('carry whole heads of attention, also with three projections in one', () => {
    assert.deepEqual(carried([3, 50, 768], [3, 50, 12, 64], 2), [[12, 64], 0]);
    assert.deepEqual(carried([3, 50, 2304], [3, 50, 3, 12, 64], 2), [[3, 12, 64], 1]);
    assert.deepEqual(carried([50, 3, 768], [50, 36, 64], 2), [[3, 12, 64], 1]);
  });

  it('keep the groups of a channel shuffle equal and drop whole groups of a group norm', () => {
    assert.deepEqual(carried([3, 116, 28, 28], [3, 2, 58, 28, 28], 1), [[2, 58], 1]);
    assert.deepEqual(carried([3, 32, 8, 8], [3, 4, 512], 1), [[4, 8, 8, 8], 0]);
    assert.deepEqual(carried([3, 4, 512], [3, 32, 8, 8], 1), [[4, 8, 8, 8], 0]);
  });

  it('are not found where sizes share none', () => {
    assert.equal(commonFactors([4, 6], [3, 8]), undefined);
  });
});

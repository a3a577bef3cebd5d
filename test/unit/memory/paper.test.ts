import assert from 'node:assert/strict';
import type { PaperResult } from '../../../engine/contract/memory';
import { PAPER_NETWORKS } from '../../../engine/memory/paper/network';
import { analysePaperNetwork } from '../../../engine/memory/paper/techniques';

const analyse = (name: string, batch: number) => analysePaperNetwork(PAPER_NETWORKS[name]!(batch));

/** Figures of SuperNeurons (PPoPP 2018), sections 3.2 to 3.4 and table 1. */
describe("memory: the paper's cost model", () => {
  it('gives the peaks of AlexNet at batch 200', () => {
    const report = analyse('alexnet', 200);
    const found = Object.fromEntries(
      Object.entries<PaperResult>(report).map(([k, r]) => [k, [Number(r.peakMiB.toFixed(3)), r.step, r.recomputes]]),
    );
    assert.deepEqual(found, {
      baseline: [2189.437, 46, 0],
      liveness: [1489.355, 32, 0],
      offload: [1132.056, 39, 0],
      speedCentric: [993.018, 43, 14],
      memoryCentric: [886.23, 44, 23],
      costAware: [886.23, 44, 17],
    });
    assert.equal(report.baseline.tensors, 36);
    assert.equal(report.liveness.tensors, 17);
  });

  for (const [name, counts] of [
    ['resnet50', [84, 118, 85]],
    ['resnet101', [169, 237, 170]],
  ] as const)
    it(`counts the recomputations of ${name} and lets its stem set the speed-centric peak`, () => {
      const { speedCentric, memoryCentric, costAware, offload, liveness } = analyse(name, 32);
      assert.deepEqual([speedCentric.recomputes, memoryCentric.recomputes, costAware.recomputes], counts);
      assert.equal(speedCentric.peakMiB, 455.125);
      assert.ok(costAware.peakMiB <= speedCentric.peakMiB && speedCentric.peakMiB < offload.peakMiB && offload.peakMiB < liveness.peakMiB);
    });
});

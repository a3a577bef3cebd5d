import assert from 'node:assert/strict';
import { deepestNetwork } from '../../../engine/server/operations/deepestNetwork';

const options = { batch: 4, input: [3, 16, 16], classes: 4, layout: 'portable' } as const;
const depthOf = (architecture: string | undefined): number => Number(/\d+/.exec(architecture ?? '0')?.[0]);

describe('memory: the deepest network of a budget', () => {
  it('grows with the budget, is none below the floor, and names the families', async () => {
    const [none, small, large] = await Promise.all(
      [100_000, 4_000_000, 6_000_000].map((budget) => deepestNetwork('resnet', { ...options, budget, policy: 'liveness' })),
    );
    assert.equal(none?.architecture, undefined);
    assert.ok(
      depthOf(small?.architecture) >= 8 && depthOf(large?.architecture) > depthOf(small?.architecture),
      JSON.stringify([small, large]),
    );
    await assert.rejects(deepestNetwork('vgg', { ...options, budget: 1 }), /resnet, wrn/);
  });
});

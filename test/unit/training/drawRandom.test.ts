import assert from 'node:assert/strict';
import type { Distribution } from '../../../engine/autodiff/perturbation';
import { drawInto } from '../../../engine/training/drawRandom';

const COUNT = 100_000;

const draw = (distribution: Distribution, ...seeds: number[]): Float32Array => {
  const values = new Float32Array(COUNT);
  drawInto(values, distribution, seeds);
  return values;
};
const mean = (values: Float32Array): number => values.reduce((sum, v) => sum + v, 0) / COUNT;
const deviation = (values: Float32Array): number => Math.sqrt(values.reduce((sum, v) => sum + v ** 2, 0) / COUNT);

describe('random inputs', () => {
  it('depend on their seeds only', () => {
    for (const distribution of [{ kind: 'normal' }, { kind: 'sign' }, { kind: 'dropout', ratio: 0.3 }] as const) {
      assert.deepEqual(draw(distribution, 1, 5, 0), draw(distribution, 1, 5, 0));
      assert.notDeepEqual(draw(distribution, 1, 5, 0), draw(distribution, 1, 6, 0));
      assert.notDeepEqual(draw(distribution, 1, 5, 0), draw(distribution, 1, 5, 1));
    }
  });

  it('have the moments of their distribution', () => {
    const bound = 5 / Math.sqrt(COUNT);
    const normal = draw({ kind: 'normal' }, 1);
    assert.ok(Math.abs(mean(normal)) < bound && Math.abs(deviation(normal) - 1) < bound);
    const sign = draw({ kind: 'sign' }, 1);
    assert.ok(sign.every((v) => Math.abs(v) === 1) && Math.abs(mean(sign)) < bound);
    const mask = draw({ kind: 'dropout', ratio: 0.3 }, 1);
    assert.ok(mask.every((v) => v === 0 || v === Math.fround(1 / 0.7)) && Math.abs(mean(mask) - 1) < bound);
  });
});

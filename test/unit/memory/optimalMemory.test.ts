import assert from 'node:assert/strict';
import { extraSeconds, leastPool, memoryFloor, planMemory } from '../../../engine/memory/plan';
import type { MemoryProgram } from '../../../engine/memory/program';
import { optimalExtra, optimalFloor } from '../../support/optimalMemory';
import { randomProgram } from '../../support/randomProgram';

/** Two values that do not fit together while a third is made: 1 MiB each, used again in reverse. */
function threeValues(recomputable: boolean): MemoryProgram {
  const storage = (name: string, bytes: number) => ({ name, bytes, kind: 'activations' as const, layer: name, pinned: false });
  const operation = (name: string, reads: number[], writes: number[]) => ({
    ...{ name, layer: name, phase: 'forward' as const, reads, writes, overwritable: [], ignored: [], recomputable, seconds: 1e-4 },
  });
  return {
    storages: [storage('x', 1024), ...['a', 'b', 'c'].map((name) => storage(name, 2 ** 20)), storage('y', 1024)],
    operations: [operation('a', [0], [1]), operation('b', [0], [2]), operation('c', [0], [3]), operation('y', [1, 3], [4])],
    inputs: [0],
    outputs: [2, 4],
  };
}

describe('memory: the best possible schedule', () => {
  it('is known where it can be told by hand', async () => {
    const all = 3 * 2 ** 20 + 2 * 1024;
    assert.equal((await optimalExtra(threeValues(false), all, 10))?.objective, 0);
    // One of the three leaves and comes back, at 2 GB/s, or is computed again in 0.1 ms.
    const moved = await optimalExtra(threeValues(false), all - 2048, 10);
    assert.ok(Math.abs((moved?.objective ?? 0) - (2 * 2 ** 20) / 2e6) < 1e-3, String(moved?.objective));
    const repeated = await optimalExtra(threeValues(true), all - 2048, 10);
    assert.ok(Math.abs((repeated?.objective ?? 0) - 0.1) < 1e-3, String(repeated?.objective));
    assert.equal(await optimalExtra(threeValues(true), 2 ** 20, 10), undefined);
  });

  it('is never worse than the planned one, in time and in the least budget, and not far from it', async () => {
    const total = { planned: 0, best: 0 };
    for (let seed = 0; seed < 4; seed++) {
      const program = randomProgram(seed);
      const [pool, floor] = [leastPool(program), memoryFloor(program, 'auto').bytes];
      const least = await optimalFloor(program, 20);
      assert.ok(least && least.bound <= floor, `seed ${seed}: floor ${floor}, least ${least?.bound}`);
      for (const share of [0.1, 0.5]) {
        const budget = Math.ceil(floor + share * (pool - floor));
        const ours = extraSeconds(planMemory(program, 'auto', budget)) * 1e3;
        const best = await optimalExtra(program, budget, 20);
        assert.ok(best?.solved && best.bound <= ours + 1e-6, `seed ${seed}: planned ${ours}, best ${best?.bound}`);
        total.planned += ours;
        total.best += best.objective;
      }
    }
    assert.ok(total.planned < 1.3 * total.best, JSON.stringify(total));
  });
});

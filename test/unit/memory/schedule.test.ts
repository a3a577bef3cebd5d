import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { MemoryPolicy } from '../../../engine/contract/memory';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { extraSeconds, leastPool, memoryFloor, planMemory } from '../../../engine/memory/plan';
import type { Schedule, Step } from '../../../engine/memory/schedule';
import { BudgetTooSmall } from '../../../engine/memory/scheduler';
import { timelineOf } from '../../../engine/memory/timeline';
import { verifySchedule } from '../../../engine/memory/verifySchedule';
import { Random } from '../../../engine/graph/random';
import { randomProgram } from '../../support/randomProgram';

const POLICIES: readonly MemoryPolicy[] = ['liveness', 'offload', 'recompute', 'auto'];

describe('memory: schedules', () => {
  it('hold within every feasible budget, and the floor is where they stop to', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(...POLICIES), fc.double({ min: 0, max: 1, noNaN: true }), (seed, policy, where) => {
        const program = randomProgram(seed);
        const pool = leastPool(program);
        const floor = memoryFloor(program, policy).bytes;
        const budget = Math.ceil(floor + where * (pool - floor));
        const schedule = planMemory(program, policy, budget);
        assert.ok(schedule.poolBytes <= budget && schedule.peakBytes <= schedule.poolBytes);
        if (policy === 'liveness') assert.equal(schedule.trafficBytes + schedule.recomputations, 0);
        if (policy === 'offload') assert.equal(schedule.recomputations, 0);
        if (policy === 'recompute') assert.equal(schedule.trafficBytes, 0);
        assert.throws(() => planMemory(program, policy, 1024), BudgetTooSmall);
      }),
      { numRuns: 30 },
    );
  });

  it('of the automatic policy fit wherever those of the others do, and are never dearer', () => {
    for (let seed = 0; seed < 10; seed++) {
      const program = randomProgram(seed);
      for (const policy of ['offload', 'recompute'] as const) {
        const floor = memoryFloor(program, policy).bytes;
        for (const budget of [floor, Math.ceil((floor + leastPool(program)) / 2)]) {
          const [auto, single] = [planMemory(program, 'auto', budget), planMemory(program, policy, budget)];
          assert.ok(auto.poolBytes <= budget && extraSeconds(auto) <= extraSeconds(single), `seed ${seed}: ${policy}`);
        }
      }
    }
  });

  it('are refused by the verifier when a step is left out or moved', () => {
    let refused = 0;
    for (let seed = 0; seed < 40; seed++) {
      const program = randomProgram(seed);
      const schedule = planMemory(program, 'auto', memoryFloor(program, 'auto').bytes);
      const random = new Random(seed);
      const at = random.integer(schedule.steps.length);
      const without: Schedule = { ...schedule, steps: schedule.steps.filter((_, i) => i !== at) };
      try {
        verifySchedule(program, without);
      } catch {
        refused++;
        continue;
      }
      // Whatever was never needed again may go without harm: a last free.
      assert.ok(
        (['free', 'store', 'replace'] as Step['kind'][]).includes(schedule.steps[at]!.kind),
        `${schedule.steps[at]!.kind} was missed`,
      );
    }
    assert.ok(refused >= 30);
  });

  it('need less with every technique, for a real training step', () => {
    const network = createModel('resnet20', { input: [3, 32, 32], classes: 10, seed: 1 });
    const training = buildTrainingGraph(network, { batch: 8, training: true, optimiser: { kind: 'sgd', momentum: 0.9 } });
    const { program, copies } = lowerGraph(training.graph, { carry: carriedValues(training) });
    assert.equal(copies.length, 0);
    const baseline = planMemory(program, 'none').peakBytes;
    const [live, offload, auto] = [leastPool(program), memoryFloor(program, 'offload').bytes, memoryFloor(program, 'auto').bytes];
    assert.ok(baseline > 4 * live && live > 1.5 * offload && live > 1.5 * auto);
    const points = timelineOf(program, planMemory(program, 'auto', Math.ceil(0.7 * live)));
    const largest = Math.max(...points.map(({ bytes }) => Object.values(bytes).reduce((a, b) => a + b, 0)));
    assert.ok(largest <= 0.7 * live + 1024 && points.some(({ offloaded }) => offloaded > 0));
  });
});

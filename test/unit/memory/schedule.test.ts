import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { MemoryPolicy } from '../../../engine/contract/memory';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { leastPool, memoryFloor, planMemory } from '../../../engine/memory/plan';
import type { MemoryProgram, Operation, Storage } from '../../../engine/memory/program';
import type { Schedule, Step } from '../../../engine/memory/schedule';
import { BudgetTooSmall } from '../../../engine/memory/scheduler';
import { timelineOf } from '../../../engine/memory/timeline';
import { verifySchedule } from '../../../engine/memory/verifySchedule';
import { Random } from '../../../engine/graph/random';

const POLICIES: readonly MemoryPolicy[] = ['liveness', 'offload', 'recompute', 'auto'];

/** A network with random shortcuts: forward operations, then one backward operation for each that reads what it read and made. */
function randomProgram(seed: number): MemoryProgram {
  const random = new Random(seed);
  const storages: Storage[] = [];
  const operations: Operation[] = [];
  const add = (name: string, pinned = false): number =>
    storages.push({ name, bytes: 1 + random.integer(40_000), kind: pinned ? 'weights' : 'activations', layer: name, pinned }) - 1;
  const operation = (name: string, reads: number[], writes: (number | undefined)[], forward: boolean): void =>
    void operations.push({
      name,
      layer: name,
      phase: forward ? 'forward' : 'backward',
      reads: [...new Set(reads)],
      writes,
      overwritable:
        random.uniform() < 0.3 && reads[0] !== undefined && storages[reads[0]]?.bytes === storages[writes[0] ?? -1]?.bytes
          ? [reads[0]]
          : [],
      ignored: [],
      recomputable: forward && random.uniform() < 0.6,
      seconds: 1e-4,
    });
  const input = add('input');
  const made = [input];
  const steps: { reads: number[]; output: number }[] = [];
  for (let i = 0; i < 3 + random.integer(14); i++) {
    const reads = [made[made.length - 1]!, ...(random.uniform() < 0.3 ? [made[random.integer(made.length)]!] : []), add(`w${i}`, true)];
    const output = add(`y${i}`);
    operation(`f${i}`, reads, [output], true);
    steps.push({ reads, output });
    made.push(output);
  }
  let gradient = add('g');
  operation('loss', [made[made.length - 1]!], [gradient], false);
  for (const { reads, output } of steps.reverse()) {
    const next = add(`d${output}`);
    operation(`b${output}`, [gradient, ...reads, ...(random.uniform() < 0.5 ? [output] : [])], [next], false);
    gradient = next;
  }
  return { storages, operations, inputs: [input], outputs: [gradient] };
}

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
      { numRuns: 60 },
    );
  });

  it('of the automatic policy fit wherever those of the others do', () => {
    for (let seed = 0; seed < 20; seed++) {
      const program = randomProgram(seed);
      for (const policy of ['offload', 'recompute'] as const) {
        const floor = memoryFloor(program, policy).bytes;
        assert.ok(planMemory(program, 'auto', floor).poolBytes <= floor, `seed ${seed}: ${policy}`);
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

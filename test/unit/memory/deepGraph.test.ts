import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { leastPool, planMemory } from '../../../engine/memory/plan';
import type { MemoryProgram, Operation, Storage } from '../../../engine/memory/program';
import { reportPolicy } from '../../../engine/memory/report';
import { scheduleWithin } from '../../../engine/memory/scheduler';
import { verifySchedule } from '../../../engine/memory/verifySchedule';
import { trainingProgramOf } from '../../support/plannedPrograms';

const MEBIBYTE = 2 ** 20;

/** A chain of layers and its way back, each of which reads what the layer read. */
function chain(layers: number): MemoryProgram {
  const storages: Storage[] = [];
  const operations: Operation[] = [];
  const value = (name: string): number => storages.push({ name, bytes: MEBIBYTE, kind: 'activations', layer: name, pinned: false }) - 1;
  const operation = (name: string, reads: number[], write: number, isForward: boolean): void =>
    void operations.push({
      ...{ name, layer: name, phase: isForward ? 'forward' : 'backward', reads, writes: [write], overwritable: [], ignored: [] },
      ...{ recomputable: isForward, seconds: 1e-4 },
    });
  const values = [value('input')];
  for (let i = 0; i < layers; i++) {
    const made = value(`y${i}`);
    operation(`f${i}`, [values[i] as number], made, true);
    values.push(made);
  }
  let gradient = values[layers] as number;
  for (let i = layers - 1; i >= 0; i--) {
    const made = value(`d${i}`);
    operation(`b${i}`, [gradient, values[i] as number], made, false);
    gradient = made;
  }
  return { storages, operations, inputs: [0], outputs: [gradient] };
}

describe('memory: deep graphs', () => {
  it('plans a chain of 100,000 layers within a hundredth of what is live, and no stack overflows', () => {
    const [layers, budget] = [100_000, 1000 * MEBIBYTE];
    const program = chain(layers);
    const live = scheduleWithin(program, Number.MAX_SAFE_INTEGER, 'liveness');
    assert.ok(live.poolBytes >= layers * MEBIBYTE);
    const schedule = scheduleWithin(program, budget, 'auto');
    verifySchedule(program, schedule);
    assert.ok(schedule.poolBytes <= budget && schedule.trafficBytes + schedule.recomputations > 0);
  });

  it('finds floors that hold, and a good deal below what is live, for a residual network of 80 layers', () => {
    const program = trainingProgramOf(createModel('resnet80', { input: [3, 8, 8], classes: 10, seed: 1 }), 8);
    const pool = leastPool(program);
    for (const policy of ['liveness', 'offload', 'recompute', 'auto'] as const) {
      const { floorBytes } = reportPolicy(program, policy).report;
      const schedule = planMemory(program, policy, floorBytes);
      assert.ok(schedule.poolBytes <= floorBytes && schedule.peakBytes <= schedule.poolBytes, policy);
      if (policy === 'liveness' || policy === 'recompute') assert.ok(floorBytes <= pool);
      else assert.ok(floorBytes < 0.5 * pool, `${policy}: ${floorBytes} of ${pool}`);
    }
  });
});

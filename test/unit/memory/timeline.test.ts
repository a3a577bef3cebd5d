import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { memoryFloor, planMemory } from '../../../engine/memory/plan';
import { layerTimeline } from '../../../engine/memory/report';
import { MEMORY_POLICIES } from '../../../engine/memory/schedule';
import { timelineOf } from '../../../engine/memory/timeline';

describe('memory: timeline', () => {
  it('has the peak of the plan, operator by operator and merged by layer', () => {
    const network = createModel('resnet14', { input: [3, 16, 16], classes: 4, seed: 1 });
    const optimiser = { kind: 'sgd', momentum: 0.9 } as const;
    const training = buildTrainingGraph(network, { batch: 4, training: true, optimiser });
    const { program } = lowerGraph(training.graph, { carry: carriedValues(training) });
    const total = (bytes: Readonly<Record<string, number>>): number => Object.values(bytes).reduce((a, b) => a + b, 0);
    for (const policy of MEMORY_POLICIES) {
      const schedule = planMemory(program, policy, policy === 'none' ? undefined : 1.2 * memoryFloor(program, policy).bytes);
      for (const points of [timelineOf(program, schedule), layerTimeline(program, schedule)])
        assert.equal(Math.max(...points.map(({ bytes }) => total(bytes))), schedule.peakBytes, policy);
    }
  });
});

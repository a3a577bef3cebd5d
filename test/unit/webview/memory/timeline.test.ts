import assert from 'node:assert/strict';
import type { MemoryCost, MemoryPoint } from '../../../../engine/contract/memory';
import { memorySteps } from '../../../../extension/memorySteps';
import { byteTicks } from '../../../../webview/memory/byteTicks';
import { estimateCost } from '../../../../webview/memory/costEstimate';
import { timelineOf } from '../../../../webview/memory/timeline';

const point = (layer: string, phase: MemoryPoint['phase'], activations: number, offloaded = 0): MemoryPoint => ({
  layer,
  phase,
  bytes: { weights: 10, optimiser: 5, inputs: 1, activations, gradients: 0, workspace: 0 },
  offloaded,
  alive: [],
});

describe('memory page: timeline', () => {
  const points = [
    point('a', 'forward', 4),
    point('b', 'forward', 9, 3),
    point('b', 'backward', 7),
    point('a', 'recompute', 2),
    point('a', 'backward', 1),
  ];

  it('is the same in columns as in points', () => {
    const timeline = timelineOf(memorySteps(points));
    points.forEach(({ layer, phase, bytes, offloaded }, step) => {
      assert.equal(timeline.layer(step), layer);
      assert.equal(timeline.phase(step), phase);
      assert.equal(timeline.offloaded[step], offloaded);
      assert.deepEqual(Object.fromEntries(timeline.kinds.map((kind) => [kind, timeline.bytes(kind, step)])), bytes);
      assert.equal(
        timeline.totals[step],
        Object.values(bytes).reduce((a, b) => a + b, 0),
      );
    });
  });

  it('tells the peak and where the backward pass begins', () => {
    const { peak, backward, mostOffloaded } = timelineOf(memorySteps(points));
    assert.deepEqual({ peak, backward, mostOffloaded }, { peak: 1, backward: 2, mostOffloaded: 3 });
    assert.equal(timelineOf(memorySteps([])).length, 0);
  });
});

describe('memory page: estimates while a budget is dragged', () => {
  const cost = (budget: number, trafficBytes: number): MemoryCost => ({
    policy: 'auto',
    budget,
    trafficBytes,
    recomputations: 0,
    extraSeconds: trafficBytes / 100,
    extraFraction: trafficBytes / 1000,
  });
  const costs = [cost(300, 0), cost(100, 80), cost(200, 20)];

  it('are what was computed at its budgets, and lie between on the line', () => {
    assert.equal(estimateCost(costs, 'auto', 100)?.trafficBytes, 80);
    assert.equal(estimateCost(costs, 'auto', 150)?.trafficBytes, 50);
    assert.equal(estimateCost(costs, 'auto', 300)?.trafficBytes, 0);
    assert.equal(estimateCost(costs, 'auto', 250)?.extraFraction, 0.01);
  });

  it('are not made for budgets or policies that nothing is known of', () => {
    assert.equal(estimateCost(costs, 'auto', 99), undefined);
    assert.equal(estimateCost(costs, 'auto', 301), undefined);
    assert.equal(estimateCost(costs, 'offload', 150), undefined);
  });
});

describe('memory page: axis of bytes', () => {
  it('has a few round numbers in one unit', () => {
    for (const top of [700, 5000, 63.5 * 2 ** 20, 1.9 * 2 ** 30, 900 * 2 ** 30]) {
      const { ticks, unit, format } = byteTicks(top, 5);
      assert.ok(ticks.length >= 3 && ticks.length <= 8, `${ticks.length} ticks up to ${top}`);
      assert.ok(ticks.every((tick) => tick <= top));
      assert.equal(format(0), '0');
      assert.ok(unit.length > 0);
    }
    const { ticks, format, unit } = byteTicks(63.5 * 2 ** 20, 5);
    assert.deepEqual([ticks.map(format), unit], [['0', '16', '32', '48'], 'MiB']);
  });
});

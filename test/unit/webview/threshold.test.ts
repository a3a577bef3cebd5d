import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import type { ImportanceReport } from '../../../engine/contract/models';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { costCurve } from '../../../engine/pruning/costCurve';
import { selectToBudget } from '../../../engine/pruning/ranking';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { Threshold } from '../../../webview/model/threshold';

const network = findChannelGroups(createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'conv', seed: 1 }));
const cost = new SelectionCost(network);

/** Scores that are scattered, with a few ties. */
const report = (): ImportanceReport => ({
  criterion: 'random',
  batches: 0,
  totals: cost.of(),
  groups: network.groups.map(({ id, layers, channels }, g) => {
    const scores = channels.map((_, c) => 1 + ((37 * c + 11 * g * g + c * c * 3) % 101));
    return { id, layers, scores, lossChange: scores.map((s) => s / 10) };
  }),
});

const scoresOf = ({ groups }: ImportanceReport) => groups.map((g) => ({ group: g.id, scores: g.scores }));

describe('the threshold of the model page', () => {
  it('counts the same whether it came in steps or at once', () => {
    const stepwise = new Threshold(report(), new Set());
    for (const rank of [10, 90, 40, 41, 3, 150, 77]) {
      const changed = stepwise.moveTo(rank);
      const direct = new Threshold(report(), new Set());
      direct.moveTo(rank);
      assert.deepEqual(stepwise.kept(), direct.kept());
      assert.equal(stepwise.removed, direct.removed);
      assert.ok(Math.abs(stepwise.lossChange - direct.lossChange) < 1e-9);
      assert.ok(changed.size > 0);
    }
    const cut = stepwise.kept().reduce((n, { group, keep }) => {
      const whole = network.groups.find((g) => g.id === group)!.channels.length;
      return n + whole - keep.length;
    }, 0);
    assert.equal(cut, stepwise.removed);
  });

  it('cuts what the engine cuts for the same budget, with a group locked', () => {
    const locked = new Set([network.groups[1]!.id]);
    const selection = selectToBudget(network, scoresOf(report()), { flops: 0.5 }, cost, { locked });
    const removed = [...selection].reduce((n, [id, keep]) => n + network.groups.find((g) => g.id === id)!.channels.length - keep.length, 0);
    const threshold = new Threshold(report(), locked);
    threshold.moveTo(threshold.rankOf(removed));
    assert.deepEqual(new Map(threshold.kept().map((k) => [k.group, k.keep])), selection);
    assert.ok(!threshold.kept().some((k) => locked.has(k.group)));
  });

  it('knows the totals exactly at places of the curve, and to two percent between them', () => {
    const curve = costCurve(network, scoresOf(report()), {}, 64);
    const threshold = new Threshold(report(), new Set());
    assert.equal(curve.removed.at(-1), threshold.most);
    const summary = { totals: cost.of(), groups: [] } as unknown as Parameters<Threshold['estimate']>[0];
    for (const removed of [...curve.removed, 5, 17, 63, 101]) {
      threshold.moveTo(threshold.rankOf(removed));
      const exact = cost.of(new Map(threshold.kept().map((k) => [k.group, k.keep])));
      const tolerance = curve.removed.includes(removed) ? 1e-9 : 2e-2;
      const { macs, parameters } = threshold.estimate(summary, curve);
      assert.ok(Math.abs(macs - exact.macs) <= tolerance * cost.of().macs, `${removed} removed: ${macs} and ${exact.macs} MACs`);
      assert.ok(Math.abs(parameters - exact.parameters) <= tolerance * cost.of().parameters);
    }
  });
});

import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { batches } from '../../../engine/datasets/batches';
import { openDataset } from '../../../engine/datasets/openDataset';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { weightScores } from '../../../engine/pruning/importance';
import { sensitivity } from '../../../engine/pruning/sensitivity';
import { sliceNetwork } from '../../../engine/pruning/slice';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { evaluate } from '../../../engine/training/evaluate';
import { assertClose } from '../../support/close';

describe('the sensitivity of a group', () => {
  it('is the loss of the network that lacks its least important channels', async () => {
    const runtime = openRuntime();
    const network = findChannelGroups(createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'conv', seed: 1 }));
    const data = await openDataset('generated:shapes?classes=3&size=12&seed=2&count=60');
    const batch = (await batches(data.test, { batch: data.test.count }).next()).value;
    if (!batch) throw new Error('The data has a test batch');
    const groups = network.groups.slice(0, 2);
    const scores = new Map(weightScores(network, 'l1').map((g) => [g.group, g.scores]));
    const { whole, curves } = await sensitivity(runtime, network, groups, scores, batch, { fractions: [0.25, 0.5] });
    const of = async (graph: typeof network.graph) => evaluate(runtime, graph, [batch]);
    assertClose([whole.loss], [(await of(network.graph)).loss], 1e-5);
    for (const [i, group] of groups.entries()) {
      const order = [...group.channels.keys()].sort((a, b) => (scores.get(group.id)?.[a] ?? 0) - (scores.get(group.id)?.[b] ?? 0));
      const keep = order.slice(order.length / 2).sort((a, b) => a - b);
      const expected = await of(sliceNetwork(network, new Map([[group.id, keep]])));
      const half = curves[i]?.[1];
      assert.equal(half?.fraction, 0.5);
      assertClose([half.loss], [expected.loss], 1e-5);
      assert.equal(half.accuracy, expected.accuracy);
    }
  });
});

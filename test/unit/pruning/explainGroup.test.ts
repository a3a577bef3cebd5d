import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { SurgeryError } from '../../../engine/graph/errors';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { float32 } from '../../../engine/graph/tensor';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { explainGroup, findGroup } from '../../../engine/pruning/explainGroup';

describe('the explanation of a group', () => {
  const network = findChannelGroups(createModel('resnet20', { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 }));
  const shared = network.groups.find((g) => g.layers.length > 1);
  if (!shared) throw new Error('ResNet-20 has a shared group');

  it('connects every layer of a shortcut group to the first by additions', () => {
    const { links, readers } = explainGroup(network, shared);
    const reached = new Set([shared.layers[0]]);
    for (const link of links) {
      assert.ok(reached.has(link.from), `${link.from} was not reached before ${link.to}`);
      assert.ok(link.through.some((n) => n.op === 'Add') && /^Add \(/.test(link.reason), link.reason);
      reached.add(link.to);
    }
    assert.deepEqual([...reached].sort(), [...shared.layers].sort());
    assert.equal(readers.length, 5);
  });

  it('finds a group by any of its layers and names the operator that locks a layer', () => {
    assert.equal(findGroup(network, shared.layers.at(-1) ?? '').id, shared.id);
    const last = network.locked.at(-1);
    assert.ok(last);
    assert.throws(
      () => findGroup(network, last.layer),
      (e) => e instanceof SurgeryError && e.message.includes(last.reason),
    );
    assert.throws(() => findGroup(network, 'nothing'), /no prunable group or layer nothing/);
  });

  it('names the value of the network that a layer belongs to, and why a shape is not known', () => {
    const builder = new GraphBuilder('long');
    const conv = (x: string, name: string): string => builder.emit('Conv', [x, builder.initializer(name, float32([4, 4, 9]))]);
    const first = builder.emit(
      'Conv',
      [builder.input('wave', ['N', 1, 'T']), builder.initializer('w', float32([4, 1, 9]))],
      {},
      { name: 'first' },
    );
    const second = conv(first, 'second');
    builder.output(second, 'out');
    builder.output(conv(builder.input('short', ['N', 4, 16]), 'third'), 'last');
    const { locked } = findChannelGroups(builder.graph);
    const reasons = locked.map(({ reason }) => reason);
    for (const reason of reasons.slice(0, 2))
      assert.match(reason, /values of unknown shape: Node first.* \(Conv\): kernel \[9\] does not fit/);
    assert.equal(reasons[2], 'the output last of the network');
  });
});

import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { Random } from '../../../engine/graph/random';
import { type PrunableNetwork, findChannelGroups } from '../../../engine/pruning/channelGroups';
import { maskedDifference } from '../../../engine/pruning/maskedDifference';
import type { Selection } from '../../../engine/pruning/selection';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { sliceNetwork } from '../../../engine/pruning/slice';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { randomNetwork } from './randomNetwork';

const SEEDS = Number(process.env.SCALPEL_SEEDS ?? 80);

/** Keeps at least one channel of each group, and of the others a fraction that differs from group to group. */
function randomSelection({ groups }: PrunableNetwork, seed: number): Selection {
  const random = new Random(seed);
  return new Map(
    groups.map((group) => {
      const order = [...random.permutation(group.channels.length)];
      const fraction = random.uniform();
      const keep = order.filter((_, place) => place === 0 || random.uniform() < fraction);
      return [group.id, keep.sort((a, b) => a - b)];
    }),
  );
}

describe('structural removal', () => {
  const runtime = openRuntime();

  it(`equals the masked network on ${SEEDS} random networks, and costs what was predicted`, async function () {
    this.timeout(20_000 + 200 * SEEDS);
    let cut = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const network = findChannelGroups(randomNetwork(seed));
      const selection = randomSelection(network, seed);
      const pruned = sliceNetwork(network, selection);
      const difference = await maskedDifference(runtime, network, pruned, selection);
      assert.ok(difference < 1e-5, `seed ${seed}: ${difference}`);
      const predicted = new SelectionCost(network).of(selection);
      assert.deepEqual(new SelectionCost(findChannelGroups(pruned)).of(), predicted, `seed ${seed}`);
      cut += [...selection].filter(([id, keep]) => keep.length < (network.groups.find((g) => g.id === id)?.channels.length ?? 0)).length;
    }
    assert.ok(cut > SEEDS, `${cut} groups were cut`);
  });

  it('keeps the shapes of inputs that have a default right, as files before IR version 4 list all weights', async () => {
    const graph = createModel('small-cnn', { input: [1, 8, 8], classes: 3, seed: 1 });
    graph.inputs.push(...[...graph.initializers].map(([name, { type, dims }]) => ({ name, type, shape: dims })));
    const network = findChannelGroups(graph);
    const selection = randomSelection(network, 1);
    const pruned = sliceNetwork(network, selection);
    for (const input of pruned.inputs) assert.deepEqual(input.shape, pruned.initializers.get(input.name)?.dims ?? input.shape);
    assert.notDeepEqual(pruned.inputs, graph.inputs);
    assert.ok((await maskedDifference(runtime, network, pruned, selection)) < 1e-5);
  });

  it('finds the three residual groups of ResNet-56', () => {
    const { groups } = findChannelGroups(createModel('resnet56', { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 }));
    const shared = groups.filter((g) => g.layers.length > 1);
    assert.deepEqual(
      shared.map((g) => [g.channels.length, g.layers.length]),
      [
        [16, 10],
        [32, 10],
        [64, 10],
      ],
    );
  });
});

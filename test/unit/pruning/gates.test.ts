import assert from 'node:assert/strict';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { gatedChannels } from '../../../engine/pruning/gateScores';
import { insertGates, mergeGates } from '../../../engine/pruning/gates';
import { outputDifference } from '../../../engine/pruning/maskedDifference';
import { createModel } from '../../../engine/architectures/createModel';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { Random } from '../../../engine/graph/random';
import { float32 } from '../../../engine/graph/tensor';
import { type Graph, copyGraph } from '../../../engine/graph/graph';
import { randomNetwork } from './randomNetwork';

const runtime = openRuntime();

/** Batch norms with small scales and large shifts, some of them zero. */
function withSmallScales(graph: Graph): Graph {
  const random = new Random(5);
  const result = copyGraph(graph);
  for (const node of graph.nodes)
    if (node.op === 'BatchNormalization')
      for (const [input, scale] of [
        [1, 0.01],
        [2, 1],
      ] as const) {
        const name = node.inputs[input] ?? '';
        const size = graph.initializers.get(name)?.dims[0] ?? 0;
        const values = Float32Array.from({ length: size }, () => (random.uniform() < 0.2 ? 0 : random.normal(0, scale)));
        result.initializers.set(name, float32([size], values));
      }
  return result;
}

const names = (graph: Graph) => [...graph.initializers.keys()].sort();

describe('gates', () => {
  it('keep the function of random networks and merge back into the same structure', async () => {
    let count = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const graph = withSmallScales(randomNetwork(seed));
      const { graph: gated, gates } = insertGates(findChannelGroups(graph));
      const all = [...gates.values()].flat();
      count += all.length;
      assert.ok((await outputDifference(runtime, gated, graph)) < 1e-5, `seed ${seed}: gates change the function`);
      const random = new Random(seed);
      for (const { name } of all) {
        const tensor = gated.initializers.get(name);
        if (tensor)
          gated.initializers.set(
            name,
            float32(
              tensor.dims,
              (tensor.data as Float32Array).map((v) => v * random.uniform(0.5, 2)),
            ),
          );
      }
      const merged = mergeGates(gated, new Set(all));
      assert.ok((await outputDifference(runtime, merged, gated)) < 1e-5, `seed ${seed}: merging changes the function`);
      assert.deepEqual(names(merged), names(graph));
      assert.deepEqual(
        merged.nodes.map((n) => [n.name, n.inputs, n.outputs]),
        graph.nodes.map((n) => [n.name, n.inputs, n.outputs]),
      );
    }
    assert.ok(count > 75, `${count} gates`);
  });

  it('sit behind every batch norm of ResNet-56, ten for each shortcut group: 2,128 filters', () => {
    const network = findChannelGroups(createModel('resnet56', { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 }));
    const { graph, gates } = insertGates(network);
    const { groups } = findChannelGroups(graph);
    assert.deepEqual(
      groups.map((g) => g.id),
      network.groups.map((g) => g.id),
    );
    const filters = groups.map((g) => gatedChannels(g, gates.get(g.id)).map((c) => c.length));
    assert.equal(
      filters.flat().reduce((a, b) => a + b, 0),
      2128,
    );
    assert.equal(filters.filter((f) => f.every((n) => n === 10)).length, 3);
    assert.ok([...gates.values()].flat().every((g) => g.kind === 'norm'));
  });
});

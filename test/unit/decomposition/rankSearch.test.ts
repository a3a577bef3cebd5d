import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { decomposeLayer } from '../../../engine/decomposition/decompose';
import { layerAlone, macsAlone, replacedAlone } from '../../../engine/decomposition/layerAlone';
import { rankLayer } from '../../../engine/decomposition/rankSearch';
import { findReplaceable, replaceableLayer } from '../../../engine/decomposition/replaceable';
import type { Graph } from '../../../engine/graph/graph';
import { float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const runtime = openRuntime();
const SHAPES = {
  convolution: { inputModes: [8], outputModes: [16], ranks: [3, 5], blocks: 2 },
  recurrent: { inputModes: [4, 4], outputModes: [12, 4], ranks: [2, 2], blocks: 2 },
  dense: { inputModes: [16, 16], outputModes: [2, 3], ranks: [2, 2], blocks: 1 },
};

/** A convolution of stride 2 over 9 x 9 positions. */
function strided(): Graph {
  const builder = new GraphBuilder('strided');
  const x = builder.input('x', ['N', 8, 9, 9]);
  const w = builder.initializer(
    'w',
    float32(
      [16, 8, 3, 3],
      Float32Array.from({ length: 1152 }, (_, i) => Math.sin(i)),
    ),
  );
  builder.output(builder.emit('Conv', [x, w], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }, { name: 'conv' }), 'y');
  return builder.graph;
}

const macsOf = (graph: Graph): number => new SelectionCost(findChannelGroups(graph)).of().macs;

describe('the cost of a form', () => {
  const lstm = createModel('lstm', { input: [5, 16], classes: 6, hidden: 16, seed: 1 });
  for (const [kind, graph, name] of [
    ['convolution', strided(), 'conv_0'],
    ['recurrent', lstm, 'lstm'],
    ['dense', createModel('mlp', { input: [1, 4, 4], classes: 6, seed: 1 }), undefined],
  ] as const)
    // prettier-ignore
    it(`is what the layer in the file costs afterwards: ${kind}`, async () => {
      const layer = name === undefined ? findReplaceable(graph).at(-1)! : replaceableLayer(graph, name);
      const shape = SHAPES[kind];
      const decomposed = await decomposeLayer(runtime, graph, layer.name, shape);
      const alone = layerAlone(graph, layer, 1);
      assert.equal(macsAlone(replacedAlone(alone, layer.name, decomposed.shape)) - macsAlone(alone), macsOf(decomposed.graph) - macsOf(graph));
      assert.equal(macsAlone(layerAlone(graph, layer, 3)), 3 * macsAlone(alone));
    });

  it('counts a strided convolution at the positions where its parts stand', () => {
    const graph = strided();
    const alone = layerAlone(graph, replaceableLayer(graph, 'conv_0'), 1);
    assert.equal(macsAlone(alone), 25 * 16 * 8 * 9);
    const { inputModes, outputModes, ranks, blocks } = { inputModes: [8, 1, 9], outputModes: [1, 16, 1], ranks: [3, 5, 9], blocks: 2 };
    const expected = 81 * 8 * 2 * 3 + 25 * (2 * 3 * 5 * 9) + 25 * 2 * 5 * 16;
    assert.equal(macsAlone(replacedAlone(alone, 'conv_0', { inputModes, outputModes, ranks, blocks })), expected);
  });
});

describe('candidates for a layer', () => {
  for (const [graph, name, forms] of [
    [strided(), 'conv_0', ['block-term', 'tucker']],
    [createModel('lstm', { input: [5, 64], classes: 6, hidden: 16, seed: 1 }), 'lstm', ['block-term', 'svd', 'tensor-train', 'tucker']],
  ] as const)
    it(`have errors, costs and times, with the best marked: ${name}`, async () => {
      const partial: number[] = [];
      const ranks = await rankLayer(runtime, graph, replaceableLayer(graph, name), { batch: 2, onPartial: ({ candidates }) => void partial.push(candidates.length) }); // prettier-ignore
      assert.deepEqual([...new Set(ranks.candidates.map((c) => c.form))].sort(), [...forms]);
      assert.ok(partial.length > 1 && partial.every((n, i) => i === 0 || n >= (partial[i - 1] ?? 0)));
      for (const { error, parameters, macs, milliseconds } of ranks.candidates) {
        assert.ok(error >= 0 && error <= 1 && milliseconds > 0 && macs > 0);
        assert.ok(parameters < ranks.denseParameters);
      }
      const front = ranks.candidates.filter((c) => c.pareto);
      const best = ranks.candidates.reduce((a, b) => (b.error < a.error ? b : a));
      assert.ok(front.length > 0 && front.includes(best));
      assert.ok(ranks.denseMilliseconds > 0 && ranks.verdict !== '');
      const energy = ranks.spectrum.values.reduce((sum, v) => sum + v * v, 0);
      assert.ok(Math.abs(energy / ranks.spectrum.energy - 1) < 1e-3 || energy < ranks.spectrum.energy);
    });
});

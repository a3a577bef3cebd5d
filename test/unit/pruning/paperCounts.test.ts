import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import type { Graph } from '../../../engine/graph/graph';
import { elementCount } from '../../../engine/graph/tensor';
import { costOf } from '../../../engine/ops/cost';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { probeShapes } from '../../../engine/pruning/coupling';
import { sliceNetwork } from '../../../engine/pruning/slice';

/** What the authors' counter adds up (papers.md 3.4), for one sample. */
interface Counts {
  readonly convolutions: number;
  readonly normElements: number;
  /** Area and one more for each output of the pooling before the classifier. */
  readonly pooling: number;
  /** Multiplications and additions: (2 in - 1) out. */
  readonly linear: number;
  readonly parameters: number;
  /** Filters, a channel of a group counting once for each of its layers. */
  readonly filters: number;
}

function count(graph: Graph): Counts {
  const { shapes } = probeShapes(graph);
  const single = (value: string): readonly number[] | undefined => {
    const shape = shapes.get(value);
    return shape && !graph.initializers.has(value) ? [1, ...shape.slice(1)] : shape;
  };
  const { nodes, totals } = costOf(graph, single);
  const of = (op: string) => nodes.filter(({ node }) => node.op === op);
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  const outputs = (cost: (typeof nodes)[number]): readonly number[] => single(cost.node.outputs[0] ?? '') ?? [];
  const area = (cost: (typeof nodes)[number]): number => elementCount(single(cost.node.inputs[0] ?? '')?.slice(2) ?? []);
  return {
    convolutions: sum(of('Conv').map((c) => c.macs)),
    normElements: sum(of('BatchNormalization').map((c) => elementCount(outputs(c)))),
    pooling: sum(of('GlobalAveragePool').map((c) => (area(c) + 1) * elementCount(outputs(c)))),
    linear: sum(of('Gemm').map((c) => 2 * c.macs - (outputs(c)[1] ?? 0))),
    parameters: totals.parameters,
    filters: sum(findChannelGroups(graph).groups.map((g) => g.channels.length * g.layers.length)),
  };
}

/** Batch norm counts four for each element. */
const total = ({ convolutions, normElements, pooling, linear }: Counts): number => convolutions + 4 * normElements + pooling + linear;

/** An old fault of the counter of the authors' VGG log: a bias for each input channel, which is 10/9 for kernels of 3 x 3, and five for each element of a norm. */
const logged = ({ convolutions, normElements, linear }: Counts, last: number): number =>
  (convolutions * 10) / 9 + 5 * normElements + 2 * last + linear;

describe('the counts of Gate Decorator’s networks (papers.md 3.4)', () => {
  it('ResNet-56 with convolutions on its shortcuts', () => {
    const counts = count(createModel('resnet56', { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 }));
    assert.equal(counts.convolutions, 125_747_200);
    assert.equal(counts.normElements, 544_768);
    assert.equal(total(counts), 127_931_702);
    assert.deepEqual([counts.parameters, counts.filters], [855_770, 2128]);
  });

  it('ResNet-50', () => {
    const counts = count(createModel('resnet50', { input: [3, 224, 224], classes: 1000, seed: 1 }));
    assert.equal(counts.convolutions, 4_087_136_256);
    assert.equal(counts.normElements, 11_113_984);
    assert.equal(total(counts), 4_135_789_592);
    assert.deepEqual([counts.parameters, counts.filters], [25_557_032, 26_560]);
  });

  it('VGG-16, whole and at the published widths', () => {
    const graph = createModel('vgg16-bn', { input: [3, 32, 32], classes: 10, seed: 1 });
    const counts = count(graph);
    assert.equal(counts.convolutions, 313_196_544);
    assert.equal(counts.normElements, 276_480);
    assert.deepEqual([counts.parameters, counts.filters], [14_728_266, 4224]);
    assert.equal(logged(counts, 512), 349_389_814);

    const widths = [17, 46, 57, 71, 73, 60, 32, 51, 51, 51, 51, 51, 51];
    const network = findChannelGroups(graph);
    const selection = new Map(network.groups.map((g, i) => [g.id, Array.from({ length: widths[i] ?? 0 }, (_, c) => c)]));
    const pruned = count(sliceNetwork(network, selection));
    assert.deepEqual([pruned.filters, pruned.parameters, pruned.convolutions], [662, 305_104, 30_921_516]);
    assert.equal(logged(pruned, 51), 34_912_852);
  });
});

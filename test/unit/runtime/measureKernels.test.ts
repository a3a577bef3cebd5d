import assert from 'node:assert/strict';
import { buildTrainingGraph } from '../../../engine/autodiff/trainingGraph';
import { createModel } from '../../../engine/architectures/createModel';
import { CostTable, OnlyFormulation } from '../../../engine/ops/costTable';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { macsPerSecondOf, measureFormulations } from '../../../engine/runtime/onnxruntime/measureKernels';
import { convolutionsOf } from '../../../engine/server/operations/calibrateKernels';

describe('measuring formulations', () => {
  it('times every one that applies, in both layouts, and the table then answers with the fastest', async () => {
    const runtime = openRuntime();
    const block = (await runtime.blockedKernels?.())?.block ?? 1;
    const shape = { batch: 2, channels: 16, filters: 16, input: [4, 4], kernel: [3, 3], stride: 1, groups: 1 };
    const entries = await measureFormulations(runtime, block, [shape]);
    const of = (job: string): string[] => Object.keys(entries.find((entry) => entry.job === job)?.times ?? {});
    assert.deepEqual(of('weight-gradient').sort(), ['merged-shifts', 'patches', 'shifts', 'swapped']);
    assert.deepEqual(of('input-gradient').sort(), ['flipped-convolution', 'transposed-convolution']);
    if (block > 1) assert.ok(of('blocked-weight-gradient').length >= 3);
    const times = entries.find((entry) => entry.job === 'weight-gradient')?.times ?? {};
    const slowest = Object.keys(times).reduce((a, b) => ((times[b] ?? 0) > (times[a] ?? 0) ? b : a));
    const chosen = new CostTable(entries).fastest('weight-gradient', { ...shape, batch: 4 }, Object.keys(times), slowest);
    assert.ok((times[chosen] ?? Infinity) <= Math.min(...Object.values(times)) / 0.9);
    assert.deepEqual(
      entries.map((entry) => entry.usual in entry.times),
      entries.map(() => true),
    );
  });

  it('tells the rate of the fastest count of channels', () => {
    const [batch, size] = [8, 16];
    const macs = (channels: number): number => 2 * 9 * batch * size ** 2 * channels ** 2;
    const rate = macsPerSecondOf([
      { channels: 8, ms: 1 },
      { channels: 16, ms: 2 },
    ]);
    assert.equal(rate, macs(16) / 0.002);
  });

  it('finds the convolutions of a network once each', () => {
    const shapes = convolutionsOf(createModel('resnet8', { input: [3, 8, 8], classes: 3, seed: 1 }), 6);
    assert.equal(shapes.length, 6);
    assert.deepEqual(shapes[0], { batch: 6, channels: 3, filters: 16, input: [8, 8], kernel: [3, 3], stride: 1, groups: 1 });
  });

  it('changes what a training graph is made of', () => {
    const network = createModel('small-cnn', { input: [1, 8, 8], classes: 3, seed: 1 });
    const count = (costs?: CostTable): number =>
      buildTrainingGraph(network, { batch: 4, training: true, costs }).graph.nodes.filter((node) => node.op === 'Conv').length;
    assert.ok(count(new OnlyFormulation('swapped')) > count());
  });
});

import assert from 'node:assert/strict';
import { freeBatch } from '../../../engine/autodiff/freeBatch';
import { SurgeryError } from '../../../engine/graph/errors';
import { type Graph, copyGraph } from '../../../engine/graph/graph';
import { float32, int64 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { loadModel } from '../../../engine/server/operations/loadModel';
import { Trainer } from '../../../engine/training/trainer';
import { sharedFile } from '../../support/shared';
import { trainOnNoise } from '../../support/smallNetworks';

/** A convolution and a classifier with the target shape that an exporter writes for this batch. */
function network(batch: number | string, target: readonly number[]): Graph {
  const builder = new GraphBuilder('fixed');
  const weight = (name: string, dims: number[]): string =>
    builder.initializer(
      name,
      float32(
        dims,
        Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(7 * i) / 4),
      ),
    );
  const x = builder.input('x', [batch, 3, 8, 8]);
  const conv = builder.emit('Relu', [builder.emit('Conv', [x, weight('conv', [5, 3, 3, 3])], { kernel_shape: [3, 3], strides: [2, 2] })]);
  const flat = builder.emit('Reshape', [conv, builder.initializer('target', int64([target.length], [...target]))]);
  builder.output(builder.emit('Gemm', [flat, weight('fc', [4, 45])], { transB: 1 }), 'logits');
  return builder.graph;
}

describe('a file with a fixed batch', () => {
  for (const [batch, target] of [
    [1, [1, -1]],
    [1, [1, 45]],
    [7, [7, 45]],
  ] as const)
    it(`[${batch}, 3, 8, 8] reshaped to [${target.join(', ')}] trains with another batch as if it were free`, async () => {
      const fixed = network(batch, target);
      const before = copyGraph(fixed);
      const run = await trainOnNoise(openRuntime(), fixed, { steps: 3 });
      assert.deepEqual(run.losses, (await trainOnNoise(openRuntime(), network('N', [0, 45]), { steps: 3 })).losses);
      assert.deepEqual(fixed, before);
    });

  it('is left alone at its own batch', () => {
    const fixed = network(7, [7, 45]);
    assert.equal(freeBatch(fixed, fixed.inputs[0]!, 7), fixed);
  });

  it('is refused where a node mixes samples, with its name', () => {
    const mixes = (emit: (builder: GraphBuilder, x: string) => string): Graph => {
      const builder = new GraphBuilder('mixes');
      builder.output(emit(builder, builder.input('x', [1, 4])), 'y');
      return builder.graph;
    };
    const graphs = [
      mixes((b, x) => b.emit('ReduceMean', [x], { axes: [0], keepdims: 1 })),
      mixes((b, x) => b.emit('MatMul', [x, b.emit('Transpose', [x], { perm: [1, 0] })])),
      mixes((b, x) => b.emit('Reshape', [x, b.initializer('flat', int64([1], [4]))])),
      mixes((b, x) => b.emit('Concat', [x, b.initializer('row', float32([1, 4]))], { axis: 0 })),
    ];
    for (const graph of graphs)
      assert.throws(
        () => freeBatch(graph, graph.inputs[0]!, 2),
        (error) =>
          error instanceof SurgeryError &&
          error.message.includes(`node ${graph.nodes[0]?.op === 'Transpose' ? 'Transpose' : (graph.nodes[0]?.op ?? '')}`),
      );
  });

  for (const name of ['mnist-burn', 'mnist-ort-examples']) {
    const file = sharedFile('models', 'onnx-small', `${name}.onnx`);
    if (file)
      it(`${name} trains with 8 samples a step, and its file keeps its batch of 1`, async () => {
        const { graph } = await loadModel(file);
        const trainer = await Trainer.create(openRuntime(), graph, { batch: 8, optimiser: { kind: 'sgd' } });
        const pixels = float32(
          [8, 1, 28, 28],
          Float32Array.from({ length: 8 * 784 }, (_, i) => Math.sin(i)),
        );
        const labels = int64([8], [0, 1, 2, 3, 4, 5, 6, 7]);
        const losses: number[] = [];
        for (let step = 0; step < 5; step++) losses.push((await trainer.step(pixels, labels, 0.001)).loss);
        assert.ok((losses.at(-1) ?? 0) < (losses[0] ?? 0), losses.join(' '));
        assert.deepEqual(trainer.weights().inputs[0]?.shape, [1, 1, 28, 28]);
        trainer.dispose();
      });
  }
});

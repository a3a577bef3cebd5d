import assert from 'node:assert/strict';
import { decomposeLayer, shapeFor } from '../../../engine/decomposition/decompose';
import { foldMatrix, unfoldMatrix } from '../../../engine/decomposition/fold';
import { blockTermShape } from '../../../engine/decomposition/layerForms';
import { balancedModes, proposeModes } from '../../../engine/decomposition/modes';
import { findReplaceable, replaceableLayer } from '../../../engine/decomposition/replaceable';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { type Tensor, elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { inferShapes } from '../../../engine/ops/inferShapes';
import { parametersOf } from '../../../engine/ops/parameters';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../../engine/training/trainer';
import { assertClose } from '../../support/close';

const runtime = openRuntime();
const random = new Random(11);
const normals = (...dims: number[]) =>
  float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, 0.4)),
  );

async function run(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Promise<Tensor> {
  const program = await runtime.compile(graph);
  const result = await program.run(feeds);
  program.dispose();
  return result.get(graph.outputs[0]?.name ?? '') as Tensor;
}

/** A matrix that the block-term form holds exactly: full rank in every mode. */
const FULL = { inputModes: [2, 3], outputModes: [2, 4], ranks: [4, 12], blocks: 1 };

function dense(op: 'Gemm' | 'Gemm transposed' | 'MatMul', inputs: number, outputs: number): Graph {
  const builder = new GraphBuilder(op);
  const x = builder.input('x', op === 'MatMul' ? ['N', 5, inputs] : ['N', inputs]);
  const weight = op === 'Gemm transposed' ? normals(outputs, inputs) : normals(inputs, outputs);
  const w = builder.initializer('fc.weight', weight);
  const b = builder.initializer('fc.bias', normals(outputs));
  const y = op === 'MatMul' ? builder.emitNamed('MatMul', [x, w], {}, ['h'], { name: 'fc' }) : builder.emitNamed('Gemm', [x, w, b], { transB: op === 'Gemm' ? 0 : 1, alpha: { float: 0.5 }, beta: { float: 2 } }, ['h'], { name: 'fc' }); // prettier-ignore
  builder.output(builder.emit('Relu', [y]), 'y');
  return builder.graph;
}

function recurrent(
  op: 'LSTM' | 'GRU' | 'RNN',
  inputs: number,
  hidden: number,
  bidirectional: boolean,
  steps: number | string = 'T',
): Graph {
  const gates = { LSTM: 4, GRU: 3, RNN: 1 }[op];
  const directions = bidirectional ? 2 : 1;
  const builder = new GraphBuilder(op);
  const x = builder.input('x', [steps, 'N', inputs]);
  const w = builder.initializer('w', normals(directions, gates * hidden, inputs));
  const r = builder.initializer('r', normals(directions, gates * hidden, hidden));
  const b = builder.initializer('b', normals(directions, 2 * gates * hidden));
  builder.emitNamed(op, [x, w, r, b], { hidden_size: hidden, direction: bidirectional ? 'bidirectional' : 'forward' }, ['y', 'h'], { name: 'cell' }); // prettier-ignore
  builder.output('y');
  return builder.graph;
}

describe('replacing a layer', () => {
  for (const op of ['Gemm', 'Gemm transposed', 'MatMul'] as const)
    for (const [inputs, outputs] of [
      [6, 8],
      [5, 7],
    ] as const)
      it(`gives the same outputs with an exact form: ${op}, ${inputs} to ${outputs}`, async () => {
        const graph = dense(op, inputs, outputs);
        const { graph: replaced, error } = await decomposeLayer(runtime, graph, 'fc', FULL);
        assert.ok(error < 1e-6, String(error));
        assert.deepEqual(inferShapes(replaced).problems, []);
        assert.ok(!replaced.initializers.has('fc.weight'));
        const feeds = new Map([['x', op === 'MatMul' ? normals(3, 5, inputs) : normals(3, inputs)]]);
        const [a, b] = [await run(replaced, feeds), await run(graph, feeds)];
        assert.deepEqual(a.dims, b.dims);
        assertClose(a.data as Float32Array, b.data as Float32Array, 1e-5);
      });

  for (const [op, bidirectional, hidden, inputs, batch] of [
    ['LSTM', false, 2, 60, 1],
    ['LSTM', true, 2, 60, 1],
    ['GRU', true, 3, 47, 1],
    ['RNN', false, 4, 6, 64],
    ['LSTM', true, 3, 5, 2000],
  ] as const)
    it(`keeps a recurrent layer's outputs: ${op}${bidirectional ? ' in both directions' : ''}, ${inputs} to ${hidden}`, async () => {
      const graph = recurrent(op, inputs, hidden, bidirectional);
      const layer = replaceableLayer(graph, 'cell');
      const choice = { inputModes: balancedModes(inputs, 2), outputModes: balancedModes(hidden, 2), ranks: [999], blocks: 1 };
      const shape = shapeFor(layer, choice);
      const ranks = shape.inputModes.map((m, k) => m * (shape.outputModes[k] ?? 1));
      const { graph: replaced } = await decomposeLayer(runtime, graph, 'cell', { ...choice, ranks, batch });
      const projects = replaced.nodes.some((n) => n.op === 'EyeLike');
      assert.equal(projects, batch === 1);
      assert.ok(!parametersOf(replaced).includes('w'));
      const feeds = new Map([['x', normals(7, 3, inputs)]]);
      assertClose((await run(replaced, feeds)).data as Float32Array, (await run(graph, feeds)).data as Float32Array, 1e-4);
    });

  it('keeps the outputs when the hidden-to-hidden matrix is replaced, and the input matrix, too', async () => {
    const graph = recurrent('LSTM', 12, 4, true);
    const full = { inputModes: [2, 2], outputModes: [2, 2], ranks: [32, 4], blocks: 1 };
    const { graph: half, error, layer } = await decomposeLayer(runtime, graph, 'r', full);
    assert.ok(error < 1e-6);
    assert.deepEqual([layer.name, layer.inputs, layer.outputs], ['r', 4, 32]);
    const input = { inputModes: [3, 4], outputModes: [2, 2], ranks: [48, 8], blocks: 1 };
    const { graph: both } = await decomposeLayer(runtime, half, 'cell', input);
    assert.ok(!both.initializers.has('r') && !both.initializers.has('w'));
    const feeds = new Map([['x', normals(7, 3, 12)]]);
    const expected = (await run(graph, feeds)).data as Float32Array;
    for (const replaced of [half, both]) assertClose((await run(replaced, feeds)).data as Float32Array, expected, 1e-4);
  });

  it('writes a convolution as Tucker-2 blocks that keep its outputs', async () => {
    const builder = new GraphBuilder('conv');
    const x = builder.input('x', ['N', 4, 9, 9]);
    const inputs = [x, builder.initializer('conv.weight', normals(6, 4, 3, 3)), builder.initializer('conv.bias', normals(6))];
    builder.emitNamed('Conv', inputs, { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, ['y'], { name: 'conv' });
    builder.output('y');
    const feeds = new Map([['x', normals(2, 4, 9, 9)]]);
    const whole = await decomposeLayer(runtime, builder.graph, 'conv', { inputModes: [4], outputModes: [6], ranks: [4, 6], blocks: 1 });
    assertClose((await run(whole.graph, feeds)).data as Float32Array, (await run(builder.graph, feeds)).data as Float32Array, 1e-5);
    const two = await decomposeLayer(runtime, builder.graph, 'conv', { inputModes: [4], outputModes: [6], ranks: [2, 2], blocks: 2 });
    const one = await decomposeLayer(runtime, builder.graph, 'conv', { inputModes: [4], outputModes: [6], ranks: [2, 2], blocks: 1 });
    assert.ok(two.error < one.error);
    assert.equal(two.graph.nodes.filter((n) => n.op === 'Conv').length, 3);
    await run(two.graph, feeds);
  });

  it('leaves ordinary operators that train', async () => {
    const builder = new GraphBuilder('classifier');
    const x = builder.input('x', ['N', 6]);
    builder.emitNamed('Gemm', [x, builder.initializer('fc.weight', normals(8, 6)), builder.initializer('fc.bias', normals(8))], { transB: 1 }, ['logits'], { name: 'fc' }); // prettier-ignore
    builder.output('logits');
    const { graph } = await decomposeLayer(runtime, builder.graph, 'fc', { ...FULL, ranks: [2, 2], blocks: 2 });
    assert.deepEqual(parametersOf(graph).sort(), ['fc.bias', 'fc.core', 'fc.factor1', 'fc.factor2']);
    const trainer = await Trainer.create(runtime, graph, { batch: 4, optimiser: { kind: 'adam' } });
    const [data, labels] = [normals(4, 6), { type: 'int64', dims: [4], data: BigInt64Array.of(0n, 3n, 5n, 7n) } as const];
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) losses.push((await trainer.step(data, labels, 0.05)).loss);
    trainer.dispose();
    assert.ok((losses.at(-1) ?? 9) < 0.3 * (losses[0] ?? 0), `${losses[0]} ${losses.at(-1)}`);
  });

  it('says what cannot be replaced, and what modes a layer needs', async () => {
    const graph = dense('Gemm', 6, 8);
    await assert.rejects(decomposeLayer(runtime, graph, 'nothing', FULL), /no layer nothing; these can be decomposed: fc/);
    await assert.rejects(decomposeLayer(runtime, graph, graph.nodes[1]?.name ?? '', FULL), /only Gemm, MatMul, Conv|not stored/);
    await assert.rejects(decomposeLayer(runtime, graph, 'fc', { ...FULL, inputModes: [2, 2] }), /too small for layer fc/);
    assert.equal(findReplaceable(graph).length, 1);
  });
});

describe('modes', () => {
  it('are balanced, and padded where the size is awkward', () => {
    assert.deepEqual(balancedModes(64, 3), [4, 4, 4]);
    assert.deepEqual(balancedModes(257, 2), [13, 20]);
    assert.ok(elementCount(balancedModes(257, 4)) >= 257);
    const { inputModes, outputModes } = proposeModes({ inputs: 57_600, outputs: 1024, gates: 4 }, 4);
    assert.deepEqual([elementCount(inputModes) >= 57_600, elementCount(outputModes), (outputModes[0] ?? 0) % 4], [true, 1024, 0]);
  });

  it('fold the gates of an LSTM: one gate after the other in the first output mode', () => {
    const [hidden, inputs] = [4, 6];
    const matrix = Float64Array.from({ length: inputs * 4 * hidden }, (_, i) => i);
    const shape = blockTermShape([2, 3], [8, 2], 1, 1);
    assert.deepEqual(unfoldMatrix(foldMatrix(matrix, [2, 3], [8, 2]), [2, 3], [8, 2]), matrix);
    assert.equal(elementCount(shape.outputModes), 4 * hidden);
  });
});

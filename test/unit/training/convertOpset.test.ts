import assert from 'node:assert/strict';
import { convertToTrainingOpset } from '../../../engine/autodiff/convertOpset';
import { type Graph, newGraph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { toAttributes } from '../../../engine/ops/graphBuilder';
import type { AttributeInput } from '../../../engine/ops/opRecord';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../support/close';

type Step = readonly [op: string, attributes: Record<string, AttributeInput>, inputs?: readonly string[]];

/** A chain of operators in the forms of one opset. */
function chain(opset: number, steps: readonly Step[]): Graph {
  const graph = newGraph('chain', opset);
  graph.inputs.push({ name: 'v0', type: 'float32', shape: [2, 3, 4, 4] });
  steps.forEach(([op, attributes, extra = []], i) =>
    graph.nodes.push({
      name: `n${i}`,
      op,
      domain: '',
      inputs: [`v${i}`, ...extra],
      outputs: [`v${i + 1}`],
      attributes: toAttributes(attributes),
    }),
  );
  graph.initializers.set('axes', int64([2], [2, 3]));
  graph.outputs.push({ name: `v${steps.length}`, type: 'float32' });
  return graph;
}

const CASES: readonly (readonly [number, readonly Step[]])[] = [
  [
    9,
    [
      ['Clip', { min: { float: -0.5 }, max: { float: 0.7 } }],
      ['Slice', { axes: [2], starts: [1], ends: [3] }],
      ['ReduceSum', { axes: [3], keepdims: 1 }],
      ['Squeeze', { axes: [3] }],
      ['Unsqueeze', { axes: [1] }],
    ],
  ],
  [
    9,
    [
      ['Pad', { pads: [0, 0, 1, 1, 0, 0, 0, 2], value: { float: 0.3 } }],
      ['Softmax', { axis: 1 }],
    ],
  ],
  [
    11,
    [
      ['Softmax', { axis: 3 }],
      ['Dropout', { ratio: { float: 0.4 } }],
      ['ReduceMean', { axes: [2, 3] }],
    ],
  ],
  [
    18,
    [
      ['ReduceMean', { keepdims: 0 }, ['axes']],
      ['Relu', {}],
    ],
  ],
];

describe('conversion to the training opset', () => {
  const runtime = openRuntime();
  for (const [opset, steps] of CASES)
    it(`keeps the meaning of opset ${opset}: ${steps.map(([op]) => op).join(', ')}`, async () => {
      const random = new Random(1);
      const x = float32(
        [2, 3, 4, 4],
        Float32Array.from({ length: 96 }, () => random.normal()),
      );
      const graph = chain(opset, steps);
      const results: Float32Array[] = [];
      for (const version of [graph, convertToTrainingOpset(graph)]) {
        const program = await runtime.compile(version);
        results.push((await program.run(new Map([['v0', x]]))).get(graph.outputs[0]!.name)!.data as Float32Array);
        program.dispose();
      }
      assertClose(results[1]!, results[0]!, 1e-6);
    });

  it('names an operator that opset 17 does not have', () => {
    assert.throws(() => convertToTrainingOpset(chain(20, [['Gelu', {}]])), /n0: operator Gelu is of opset 20/);
  });
});

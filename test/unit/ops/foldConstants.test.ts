import assert from 'node:assert/strict';
import { numbersOf } from '../../../engine/graph/tensor';
import { foldConstants } from '../../../engine/ops/foldConstants';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { inferShapes } from '../../../engine/ops/inferShapes';

describe('folding of shape arithmetic', () => {
  it('makes the target of a channel shuffle constant although the batch is symbolic', () => {
    const builder = new GraphBuilder('shuffle');
    const x = builder.input('x', ['N', 8, 4, 4]);
    const batch = builder.emit('Unsqueeze', [
      builder.emit('Gather', [builder.emit('Shape', [x]), builder.constant({ type: 'int64', dims: [], data: BigInt64Array.of(0n) })]),
      builder.ints([0]),
    ]);
    builder.output(builder.emit('Reshape', [x, builder.emit('Concat', [batch, builder.ints([2, 4, 4, 4])], { axis: 0 })]), 'y');
    const folded = foldConstants(builder.graph, inferShapes(builder.graph));
    assert.deepEqual(
      folded.nodes.map((n) => n.op),
      ['Reshape', 'Identity'],
    );
    const target = folded.initializers.get(folded.nodes[0]?.inputs[1] ?? '');
    assert.deepEqual(target && numbersOf(target), [0, 2, 4, 4, 4]);
    assert.deepEqual(inferShapes(folded).types.get('y')?.shape, ['N', 2, 4, 4, 4]);
  });
});

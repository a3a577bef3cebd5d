import assert from 'node:assert/strict';
import { removeUnused } from '../../../engine/graph/removeUnused';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';

describe('removing what no output needs', () => {
  it('drops dead chains and their constants, and keeps the rest in order', () => {
    const builder = new GraphBuilder('graph');
    const x = builder.input('x', [2]);
    const kept = builder.emit('Mul', [x, builder.scalar(2)]);
    builder.emit('Exp', [builder.emit('Add', [x, builder.scalar(3)])]);
    builder.output(builder.emit('Neg', [kept]), 'y');
    removeUnused(builder.graph);
    assert.deepEqual(
      builder.graph.nodes.map((n) => n.op),
      ['Mul', 'Neg', 'Identity'],
    );
    assert.equal(builder.graph.initializers.size, 1);
  });
});

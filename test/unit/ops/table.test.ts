import assert from 'node:assert/strict';
import { type Shape } from '../../../engine/graph/dims';
import { inferShapes } from '../../../engine/ops/inferShapes';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { isUnsupported } from '../../../engine/ops/opRecord';
import { allRecords, lookupOp } from '../../../engine/ops/opTable';

describe('the operator table', () => {
  it('gives a reason for every facet that an operator lacks', () => {
    for (const record of allRecords())
      for (const facet of [record.gradient, record.coupling, record.tfjs])
        if (isUnsupported(facet)) assert.ok(facet.unsupported.length > 10, `${record.op}: ${facet.unsupported}`);
  });

  it('has one record for an operator and opset', () => {
    const names = allRecords().map((r) => `${r.domain}:${r.op}`);
    assert.equal(new Set(names).size, names.length);
    assert.equal(lookupOp('Conv', 'ai.onnx', 17), lookupOp('Conv', '', 17));
    assert.equal(lookupOp('NoSuchOperator', '', 17), undefined);
  });
});

describe('shape inference', () => {
  it('keeps the symbolic batch through x.view(x.size(0), -1) as PyTorch exports it', () => {
    const builder = new GraphBuilder('view');
    const x = builder.input('x', ['N', 8, 4, 4]);
    const size = builder.emit('Gather', [
      builder.emit('Shape', [x]),
      builder.constant({ type: 'int64', dims: [], data: BigInt64Array.of(0n) }),
    ]);
    const target = builder.emit('Concat', [builder.emit('Unsqueeze', [size, builder.ints([0])]), builder.ints([-1])], { axis: 0 });
    builder.output(builder.emit('Reshape', [x, target]), 'y');
    const { types, problems } = inferShapes(builder.graph);
    assert.deepEqual(problems, []);
    assert.deepEqual(types.get('y')?.shape, ['N', 128]);
  });

  it('names the node whose inputs do not fit, and goes on', () => {
    const builder = new GraphBuilder('bad');
    const x = builder.input('x', ['N', 3, 8, 8]);
    builder.output(builder.emit('Relu', [x]), 'y');
    builder.graph.nodes.push({ name: 'odd', op: 'Add', domain: '', inputs: ['x', 'w'], outputs: ['z'], attributes: new Map() });
    builder.graph.initializers.set('w', { type: 'float32', dims: [5], data: new Float32Array(5) });
    const { problems, types } = inferShapes(builder.graph);
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.reason ?? '', /odd \(Add\).*do not broadcast/);
    assert.deepEqual(types.get('y')?.shape satisfies Shape | undefined, ['N', 3, 8, 8]);
  });
});

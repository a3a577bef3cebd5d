import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { SurgeryError } from '../../../engine/graph/errors';
import { Random } from '../../../engine/graph/random';
import { float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const random = new Random(4);
const image = float32(
  [3, 3, 32, 32],
  Float32Array.from({ length: 9216 }, () => random.normal()),
);

describe('the onnxruntime runtime', () => {
  const native = openRuntime('c-api');
  const binding = openRuntime('js');

  for (const name of ['small-cnn', 'resnet8', 'mobilenet-v2'])
    it(`gives the same bits through the C API and the JavaScript binding: ${name}`, async () => {
      const graph = createModel(name, { input: [3, 32, 32], classes: 10, seed: 1 });
      const results = [];
      for (const runtime of [native, binding]) {
        const program = await runtime.compile(graph, { threads: 1 });
        results.push((await program.run(new Map([['input', image]]))).get('logits'));
        program.dispose();
      }
      assert.deepEqual(results[0], results[1]);
    });

  it('writes into tensors that it is given', async () => {
    const program = await native.compile(createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 }));
    const into = float32([3, 10]);
    const result = await program.run(new Map([['input', image]]), { into: new Map([['logits', into]]) });
    assert.equal(result.get('logits')?.data, into.data);
    assert.ok(into.data.some((v) => v !== 0));
    program.dispose();
  });

  it('ends a run that is cancelled and can run again', async () => {
    const builder = new GraphBuilder('long');
    let x = builder.input('x', [700, 700]);
    for (let i = 0; i < 120; i++) x = builder.emit('MatMul', [x, 'x']);
    builder.output(x, 'y');
    const program = await native.compile(builder.graph);
    const feeds = new Map([['x', float32([700, 700])]]);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    await assert.rejects(
      program.run(feeds, { signal: controller.signal }),
      (error: unknown) => error instanceof SurgeryError && error.code === 'cancelled',
    );
    program.dispose();
  });

  it('profiles by operator', async () => {
    const program = await native.compile(createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 }), { profile: true });
    await program.run(new Map([['input', image]]));
    const times = program.profile?.() ?? new Map<string, number>();
    assert.ok(
      [...times.keys()].some((op) => op.includes('Conv')),
      [...times.keys()].join(),
    );
    program.dispose();
  });

  it('keeps the profiles of programs apart that are compiled at the same time', async () => {
    const network = createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 });
    const programs = await Promise.all([1, 2].map(() => native.compile(network, { profile: true })));
    for (const program of programs) await program.run(new Map([['input', image]]));
    const counted = programs.map((program) => [...(program.profile?.() ?? new Map<string, number>()).keys()]);
    assert.ok(counted[0]!.length > 0);
    assert.deepEqual(counted[1], counted[0]);
    for (const program of programs) program.dispose();
  });

  it('names the input that is missing', async () => {
    const program = await native.compile(createModel('small-cnn', { input: [3, 32, 32], classes: 10, seed: 1 }));
    await assert.rejects(program.run(new Map()), /needs the input input/);
    program.dispose();
  });

  it('says what is wrong with a model that onnxruntime refuses', async () => {
    await assert.rejects(
      native.compileBytes(Buffer.from('nothing')),
      (error: unknown) => error instanceof SurgeryError && error.code === 'runtime-failed',
    );
  });
});

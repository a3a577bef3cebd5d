import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { MemoryOptions, Program, Runtime } from '../../../engine/runtime/runtime';
import { type Batch, evaluate } from '../../../engine/training/evaluate';
import { type BatchSource, train } from '../../../engine/training/train';
import { assertClose } from '../../support/close';

const BATCH = 8;
const MEBIBYTE = 2 ** 20;
const inner = openRuntime();

interface Compiled {
  readonly memory: MemoryOptions | undefined;
  readonly program: Program;
}

/** A runtime that tells what was compiled, and into which pool. */
function watched(): { runtime: Runtime; compiled: Compiled[] } {
  const compiled: Compiled[] = [];
  const compile: Runtime['compile'] = async (graph, options) => {
    const program = await inner.compile(graph, options);
    compiled.push({ memory: options?.memory, program });
    return program;
  };
  return { runtime: { name: inner.name, devices: inner.devices, compile, compileBytes: inner.compileBytes.bind(inner) }, compiled };
}

function batch(count: number, seed: number): Batch {
  const random = new Random(seed);
  const data = Float32Array.from({ length: count * 3 * 256 }, () => random.normal());
  return {
    x: float32([count, 3, 16, 16], data),
    y: int64(
      [count],
      Array.from({ length: count }, (_, i) => i % 4),
    ),
  };
}

async function* given(...batches: Batch[]): AsyncGenerator<Batch> {
  for (const each of batches) yield await Promise.resolve(each);
}

const held = [batch(20, 3), batch(5, 4)];
const network = () => createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 });

function trained(runtime: Runtime, memory?: MemoryOptions, test = true) {
  const source: BatchSource = {
    stepsPerEpoch: 2,
    train: (epoch) => given(batch(BATCH, 10 + epoch), batch(BATCH, 20 + epoch)),
    test: test ? () => given(...held) : undefined,
  };
  const schedule = { kind: 'constant', rate: 0.05 } as const;
  return train(runtime, network(), source, { epochs: 2, batch: BATCH, optimiser: { kind: 'sgd' }, layout: 'portable', schedule, memory });
}

describe('memory: evaluation within the budget of training', () => {
  for (const budget of [12, 3])
    it(`lies in the pool between two steps and leaves training as it is: ${budget} MiB`, async () => {
      const { runtime, compiled } = watched();
      const memory = { budget: budget * MEBIBYTE };
      const with_ = await trained(runtime, memory);
      const [trainer, ...evaluations] = compiled;
      assert.equal(evaluations.length, 2);
      for (const each of evaluations) {
        assert.equal(each.memory?.within, trainer?.program);
        assert.ok((each.program.schedule?.poolBytes ?? Infinity) <= (trainer?.program.schedule?.poolBytes ?? 0));
      }
      assert.deepEqual(with_.network.initializers, (await trained(inner, memory, false)).network.initializers);
      const { loss, accuracy } = await evaluate(inner, with_.network, held);
      assertClose([with_.epochs[1]?.testLoss ?? NaN, with_.epochs[1]?.accuracy ?? NaN], [loss, accuracy], 1e-5);
    });

  it('takes fewer samples at once where there is no room for a batch, and refuses where there is none for one', async () => {
    const { runtime, compiled } = watched();
    const graph = network();
    const roomy = await evaluate(runtime, graph, held, { batch: 16, memory: { budget: 16 * MEBIBYTE } });
    const tight = await evaluate(runtime, graph, held, { batch: 16, memory: { budget: 0.5 * MEBIBYTE } });
    assert.deepEqual(
      compiled.map(({ program }) => (program.schedule?.poolBytes ?? Infinity) <= MEBIBYTE / 2),
      [false, true],
    );
    assertClose([tight.loss, tight.accuracy], [roomy.loss, roomy.accuracy], 1e-6);
    assert.equal(tight.count, 25);
    await assert.rejects(
      evaluate(runtime, graph, held, { batch: 16, memory: { budget: 1024 } }),
      /does not hold an evaluation: .* at least 0\.\d MiB/,
    );
  });
});

import assert from 'node:assert/strict';
import { parseOnnx } from '../../../engine/formats/onnx/readOnnx';
import { inferShapes } from '../../../engine/ops/inferShapes';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertAgrees, conformanceCases, feedsOf } from '../../support/conformance';

/** Where onnxruntime 1.30 itself does not agree with ONNX: it refuses batch-first recurrent networks, draws its own dropout, and aligns corners otherwise. */
const DISAGREES = new Set([
  'test_gru_batchwise',
  'test_lstm_batchwise',
  'test_simple_rnn_batchwise',
  'test_resize_downsample_scales_cubic_align_corners',
  'test_resize_downsample_scales_linear_align_corners',
  'test_training_dropout',
  'test_training_dropout_default',
  'test_training_dropout_default_mask',
  'test_training_dropout_mask',
]);

const cases = conformanceCases();

if (cases.length > 0)
  describe("ONNX's operator tests", () => {
    const runtime = openRuntime();
    for (const c of cases) {
      it(`${c.name}: shapes`, () => {
        const graph = parseOnnx(c.model, c.name);
        const feeds = feedsOf(c, graph);
        const { types, problems } = inferShapes({ ...graph, initializers: new Map([...graph.initializers, ...feeds]) });
        assert.deepEqual(problems, []);
        graph.outputs.forEach(({ name }, i) => {
          const [shape, expected] = [types.get(name)?.shape, c.outputs[i]?.dims];
          if (!expected) return;
          assert.equal(shape?.length, expected.length);
          shape.forEach((d, axis) =>
            assert.ok(typeof d !== 'number' || d === expected[axis], `axis ${axis} is ${d}, not ${expected[axis] ?? 0}`),
          );
        });
      });
      if (DISAGREES.has(c.name)) continue;
      it(`${c.name}: values`, async () => {
        const graph = parseOnnx(c.model, c.name);
        await assertAgrees(await runtime.compileBytes(c.model), graph, c);
      });
    }
  });

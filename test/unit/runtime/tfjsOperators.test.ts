import assert from 'node:assert/strict';
import { parseOnnx } from '../../../engine/formats/onnx/readOnnx';
import { NCHWC } from '../../../engine/ops/nchwc';
import { isUnsupported } from '../../../engine/ops/opRecord';
import { allRecords } from '../../../engine/ops/opTable';
import type { TfjsRuntime } from '../../../engine/runtime/tfjs/tfjsRuntime';
import { type ConformanceCase, assertAgrees, conformanceCases } from '../../support/conformance';
import { checkGradients, gradientCases } from '../../support/gradientCases';
import { held, openWebAssembly, tensorFlow, useCpu } from '../../support/tensorFlow';

/** They draw random masks, which no two runtimes share. */
const LEFT_OUT = new Set([
  'test_training_dropout',
  'test_training_dropout_default',
  'test_training_dropout_default_mask',
  'test_training_dropout_mask',
]);

/** tfjs's kernels of WebAssembly read outside of their memory: volumes, and positions of maxima with a stride. */
const WRONG_IN_WEBASSEMBLY = new Set([
  'test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False',
  'test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False',
  'test_convtranspose_3d',
  'test_maxpool_3d_default',
  'test_maxpool_with_argmax_2d_precomputed_strides',
]);

/** They leave the result as its memory was before. */
const SUM_OF_NOTHING = /_(sum|sum_square|l1|l2|log_sum|log_sum_exp)_empty_set/;

const cases = conformanceCases().filter(({ name }) => !LEFT_OUT.has(name));

async function checkCase(runtime: TfjsRuntime, c: ConformanceCase): Promise<void> {
  const graph = parseOnnx(c.model, c.name);
  const before = held();
  await assertAgrees(await runtime.compile(graph), graph, c);
  assert.deepEqual(held(), before);
}

describe('the TensorFlow runtime', () => {
  it('has a lowering for every operator but the blocked ones of onnxruntime', () => {
    const without = allRecords().filter((r) => isUnsupported(r.tfjs) && r.domain !== NCHWC);
    assert.deepEqual(
      without.map((r) => r.op),
      [],
    );
  });

  for (const c of cases) it(`${c.name} agrees with ONNX`, () => checkCase(tensorFlow, c));
  for (const [index, c] of gradientCases.entries()) it(`${c.name} (${index}) has PyTorch's gradients`, () => checkGradients(tensorFlow, c));
});

describe('the TensorFlow runtime with WebAssembly', () => {
  let runtime: TfjsRuntime;
  before(async () => (runtime = await openWebAssembly()));
  after(useCpu);

  for (const c of cases.filter(({ name }) => !WRONG_IN_WEBASSEMBLY.has(name) && !SUM_OF_NOTHING.test(name)))
    it(`${c.name} agrees with ONNX`, () => checkCase(runtime, c));
  for (const [index, c] of gradientCases.entries()) it(`${c.name} (${index}) has PyTorch's gradients`, () => checkGradients(runtime, c));
});

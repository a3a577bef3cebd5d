import assert from 'node:assert/strict';
import { parseOnnx } from '../../../engine/formats/onnx/readOnnx';
import { NCHWC } from '../../../engine/ops/nchwc';
import { isUnsupported } from '../../../engine/ops/opRecord';
import { allRecords } from '../../../engine/ops/opTable';
import { assertAgrees, conformanceCases } from '../../support/conformance';
import { checkGradients, gradientCases } from '../../support/gradientCases';
import { held, tensorFlow } from '../../support/tensorFlow';

/** They draw random masks, which no two runtimes share. */
const LEFT_OUT = new Set([
  'test_training_dropout',
  'test_training_dropout_default',
  'test_training_dropout_default_mask',
  'test_training_dropout_mask',
]);

describe('the TensorFlow runtime', () => {
  it('has a lowering for every operator but the blocked ones of onnxruntime', () => {
    const without = allRecords().filter((r) => isUnsupported(r.tfjs) && r.domain !== NCHWC);
    assert.deepEqual(
      without.map((r) => r.op),
      [],
    );
  });

  const cases = conformanceCases().filter(({ name }) => !LEFT_OUT.has(name));
  for (const c of cases)
    it(`${c.name} agrees with ONNX`, async () => {
      const graph = parseOnnx(c.model, c.name);
      const before = held();
      await assertAgrees(await tensorFlow.compile(graph), graph, c);
      assert.deepEqual(held(), before);
    });

  for (const [index, c] of gradientCases.entries()) it(`${c.name} (${index}) has PyTorch's gradients`, () => checkGradients(tensorFlow, c));
});

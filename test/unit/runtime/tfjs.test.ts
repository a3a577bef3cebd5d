import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { findTensorFlow } from '../../../engine/runtime/tfjs/findTensorFlow';
import { type TfjsRuntime, openTensorFlow } from '../../../engine/runtime/tfjs/tfjsRuntime';
import { assertClose } from '../../support/close';
import { residualNetwork, trainOnNoise } from '../../support/smallNetworks';
import { held, openWebAssembly, tensorFlow, useCpu } from '../../support/tensorFlow';

const OPENED: Readonly<Record<string, () => Promise<TfjsRuntime>>> = {
  'plain JavaScript': () => Promise.resolve(tensorFlow),
  WebAssembly: openWebAssembly,
};

for (const [backend, open] of Object.entries(OPENED))
  describe(`training on the TensorFlow runtime with ${backend}`, () => {
    let runtime: TfjsRuntime;
    before(async () => (runtime = await open()));
    after(useCpu);

    it('follows the default runtime over ten steps of a network with batch norm', async () => {
      const network = residualNetwork();
      const reference = await trainOnNoise(openRuntime(), network, { steps: 10 });
      const bytes: number[] = [];
      const actual = await trainOnNoise(runtime, network, { steps: 10, afterStep: () => bytes.push(held().bytes) });
      assertClose(actual.losses, reference.losses, 1e-4, 'losses');
      for (const [name, tensor] of reference.weights)
        assertClose(actual.weights.get(name)!.data as Float32Array, tensor.data as Float32Array, 1e-4, name, 1e-6);
      assert.equal(new Set(bytes).size, 1, `memory is not flat: ${bytes.join(', ')}`);
    });

    it('follows the default runtime over ten steps of an LSTM', async () => {
      const network = createModel('lstm', { input: [5, 3], classes: 4, hidden: 6, seed: 2 });
      const options = { steps: 10, input: [5, 3] };
      const reference = await trainOnNoise(openRuntime(), network, options);
      const actual = await trainOnNoise(runtime, network, options);
      assertClose(actual.losses, reference.losses, 1e-4, 'losses');
      for (const [name, tensor] of reference.weights)
        if (tensor.type === 'float32')
          assertClose(actual.weights.get(name)!.data as Float32Array, tensor.data as Float32Array, 1e-4, name, 1e-6);
    });

    it('holds nothing once it is disposed', async () => {
      const before = held();
      await trainOnNoise(runtime, residualNetwork(), { steps: 1 });
      assert.deepEqual(held(), before);
    });
  });

describe('the installed TensorFlow', () => {
  after(useCpu);

  it('is found where it lies, and starts', async () => {
    const [installation] = findTensorFlow([process.cwd()]);
    assert.ok(installation);
    const runtime = await openTensorFlow([installation]);
    assert.match(runtime.devices[0]!.description, /@tensorflow\/tfjs-/);
  });

  it('says how to get it where it is not', async () => {
    assert.deepEqual(findTensorFlow(['/nowhere']), []);
    await assert.rejects(openTensorFlow([]), /TensorFlow is not installed; run "Scalpel: Install TensorFlow Runtime"/);
  });
});

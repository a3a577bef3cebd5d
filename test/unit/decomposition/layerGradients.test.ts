import assert from 'node:assert/strict';
import { buildTrainingGraph } from '../../../engine/autodiff/trainingGraph';
import { initialWeights } from '../../../engine/decomposition/initialise';
import { emitLayer, emitWeight } from '../../../engine/decomposition/layerEmitter';
import { blockTermNetwork, blockTermShape, tensorTrainNetwork } from '../../../engine/decomposition/layerForms';
import type { Passes } from '../../../engine/decomposition/productPlan';
import { Random } from '../../../engine/graph/random';
import { type Tensor, elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const runtime = openRuntime();
const random = new Random(12);
const normals = (...dims: number[]) =>
  float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );

const BLOCKS = { inputModes: [3, 4, 5], outputModes: [4, 2, 3] };
const FORMS = {
  'block terms': { network: blockTermNetwork(blockTermShape(BLOCKS.inputModes, BLOCKS.outputModes, [2, 3, 2], 2)), ...BLOCKS },
  'a tensor train': { network: tensorTrainNetwork(BLOCKS.inputModes, BLOCKS.outputModes, [3, 2]), ...BLOCKS },
};
const SIZES = { inputs: 60, outputs: 24, gates: 1 };

async function gradients(form: (typeof FORMS)['block terms'], passes: Passes | undefined, rows: number, x: Tensor, target: Tensor) {
  const builder = new GraphBuilder('layer');
  const input = builder.input('x', ['N', 60]);
  const weights = initialWeights(form.network, 0.1, new Random(5));
  const names = new Map([...weights].map(([name, tensor]) => [name, builder.initializer(name, tensor)]));
  const y = passes
    ? emitLayer(builder, form, SIZES, { value: input, shape: ['N', 60] }, names, { name: 'layer', rows, passes })
    : builder.emit('MatMul', [input, emitWeight(builder, form, SIZES, names, 'layer')]);
  builder.output(y, 'y');
  const training = buildTrainingGraph(builder.graph, { batch: x.dims[0] ?? 1, training: false, loss: 'squared', parameters: [...weights.keys()] }); // prettier-ignore
  const program = await runtime.compile(training.graph);
  const result = await program.run(new Map<string, Tensor>([['x', x], [training.y, target], ...weights])); // prettier-ignore
  program.dispose();
  return new Map([...training.gradients].map(([name, output]) => [name, result.get(output)?.data as Float32Array]));
}

describe('gradients of a factored layer', () => {
  for (const [name, form] of Object.entries(FORMS))
    for (const rows of [1, 7, 5000])
      it(`are those of the rebuilt weight: ${name} in the order for ${rows} rows`, async () => {
        const [x, target] = [normals(7, 60), normals(7, 24)];
        const expected = await gradients(form, undefined, rows, x, target);
        for (const passes of ['inference', 'training'] as const)
          for (const [weight, found] of await gradients(form, passes, rows, x, target)) {
            const other = expected.get(weight) as Float32Array;
            const largest = Math.max(...other.map(Math.abs));
            found.forEach((v, i) => assert.ok(Math.abs(v - (other[i] ?? NaN)) < 1e-4 * largest, `${weight} ${i}`));
          }
      });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openModel } from '../../../engine/formats/openModel';
import { float32 } from '../../../engine/graph/tensor';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../support/close';
import { sharedFile } from '../../support/shared';

const fixtures = path.join(__dirname, '../../fixtures/keras');
const runtime = openRuntime();

describe('Keras and tfjs models', () => {
  const expected = JSON.parse(readFileSync(path.join(fixtures, 'expected.json'), 'utf8')) as { x: number[]; y: number[] };

  for (const file of ['model.json', 'model.h5', '.'])
    it(`give what TensorFlow.js gives, every kind of layer: ${file}`, async () => {
      const { graph } = await openModel(path.join(fixtures, file));
      const program = await runtime.compile(graph);
      const input = graph.inputs[0]!;
      assert.deepEqual(input.shape, ['N', 3, 9, 8]);
      const result = await program.run(new Map([[input.name, float32([2, 3, 9, 8], expected.x)]]));
      assertClose(result.get(graph.outputs[0]!.name)!.data as Float32Array, expected.y, 1e-5);
      program.dispose();
    });

  it('name what is wrong with a file', async () => {
    await assert.rejects(openModel(path.join(fixtures, 'expected.json')), /expected.json is not a tfjs layers model/);
    await assert.rejects(openModel(path.join(fixtures, 'absent.h5')), /absent.h5 does not exist/);
    await assert.rejects(openModel(path.dirname(fixtures)), /folder without a model.json/);
  });

  const resnet8 = sharedFile('models/mlperf-tiny/pretrainedResnet.h5');
  if (resnet8)
    it('open as Keras saved them: ResNet-8 of MLPerf Tiny', async () => {
      const { graph, format } = await openModel(resnet8);
      assert.equal(format, 'Keras');
      assert.equal(graph.nodes.filter((n) => n.op === 'Conv').length, 9);
    });
});

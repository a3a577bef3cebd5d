import assert from 'node:assert/strict';
import { SurgeryError } from '../../../engine/graph/errors';
import { DeviceRuntime } from '../../../engine/runtime/deviceRuntime';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { Program, Runtime } from '../../../engine/runtime/runtime';
import { assertClose } from '../../support/close';
import { residualNetwork, trainOnNoise } from '../../support/smallNetworks';
import { held, tensorFlow } from '../../support/tensorFlow';

/** The TensorFlow runtime whose device goes away at a step; its weights with it, if `whole`. */
function failing(at: number, whole: boolean, message = 'device lost'): Runtime {
  const compile = async (...args: Parameters<Runtime['compile']>): Promise<Program> => {
    const program = await tensorFlow.compile(...args);
    const { resident } = program;
    let steps = 0;
    const check = (): void => {
      if (steps >= at) throw new SurgeryError('runtime-failed', message);
    };
    return {
      inputs: program.inputs,
      outputs: program.outputs,
      run: async (feeds, options) => {
        check();
        steps++;
        return program.run(feeds, options);
      },
      resident: resident && {
        write: (values) => resident.write(values),
        read: async () => {
          if (whole) check();
          return resident.read();
        },
      },
      dispose: () => program.dispose(),
    };
  };
  return { name: 'failing', devices: [], compile, compileBytes: tensorFlow.compileBytes.bind(tensorFlow) };
}

describe('a device that is lost', () => {
  const network = residualNetwork();
  const log: string[] = [];
  beforeEach(() => log.splice(0));

  it('is replaced by the processor, which goes on from its weights while they can be read', async () => {
    const before = held();
    const reference = await trainOnNoise(openRuntime(), network, { steps: 6 });
    const runtime = new DeviceRuntime(failing(3, false), 'tensorflow', openRuntime(), (message) => log.push(message));
    const { losses, weights } = await trainOnNoise(runtime, network, { steps: 6 });
    assertClose(losses, reference.losses, 1e-4, 'losses');
    assertClose(weights.get('n1.mean')!.data as Float32Array, reference.weights.get('n1.mean')!.data as Float32Array, 1e-3, 'mean', 1e-5);
    assert.deepEqual(log, ['tensorflow failed, the processor goes on: device lost']);
    assert.deepEqual(held(), before);
  });

  it('goes on from the last weights that are known where they are lost, and says how far back that is', async () => {
    const runtime = new DeviceRuntime(failing(3, true), 'tensorflow', openRuntime(), (message) => log.push(message));
    const { losses } = await trainOnNoise(runtime, network, { steps: 6 });
    const fresh = await trainOnNoise(openRuntime(), network, { steps: 1 });
    assert.ok(losses.length === 6 && Math.abs(losses[0]! - fresh.losses[0]!) < 1e-4);
    assert.deepEqual(log, ['tensorflow failed, the processor goes on from the weights of 3 steps before: device lost']);
  });

  it('goes on within the memory budget', async () => {
    const memory = { policy: 'auto' } as const;
    const reference = await trainOnNoise(openRuntime(), network, { steps: 3, memory });
    const runtime = new DeviceRuntime(failing(1, false), 'tensorflow', openRuntime(), (message) => log.push(message));
    assertClose((await trainOnNoise(runtime, network, { steps: 3, memory })).losses, reference.losses, 1e-4, 'losses');
    assert.equal(log.length, 1);
  });

  it('is not asked again', async () => {
    const runtime = new DeviceRuntime(failing(0, false), 'tensorflow', openRuntime(), (message) => log.push(message));
    for (let i = 0; i < 2; i++) await trainOnNoise(runtime, network, { steps: 1 });
    assert.equal(log.length, 1);
  });
});

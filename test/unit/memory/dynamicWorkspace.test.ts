import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { Random } from '../../../engine/graph/random';
import { float32 } from '../../../engine/graph/tensor';
import { fastestWithin } from '../../../engine/memory/formOptions';
import { memoryFloor, leastPool } from '../../../engine/memory/plan';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { DeviceRuntime } from '../../../engine/runtime/deviceRuntime';
import type { MemoryOptions, Runtime } from '../../../engine/runtime/runtime';
import { dynamicWorkspace } from '../../../engine/training/fittedGraph';
import { Trainer } from '../../../engine/training/trainer';

const runtime = openRuntime();
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;
const network = () => createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 });

/** Compiles whatever forms a budget chose, and runs them in a pool that holds everything. */
const unlimited: Runtime = {
  name: runtime.name,
  devices: runtime.devices,
  kernelCosts: () => runtime.kernelCosts?.(),
  compile: (graph, options) => runtime.compile(graph, { ...options, memory: { policy: 'none' } }),
  compileBytes: (bytes, options) => runtime.compileBytes(bytes, options),
};

async function trained(memory?: MemoryOptions, on = runtime) {
  const trainer = await Trainer.create(on, network(), { batch: 8, optimiser, layout: 'portable', memory });
  const random = new Random(1);
  const x = float32(
    [8, 3, 16, 16],
    Float32Array.from({ length: 8 * 3 * 256 }, () => random.normal()),
  );
  const y = { type: 'int64', dims: [8], data: BigInt64Array.from({ length: 8 }, (_, i) => BigInt(i % 4)) } as const;
  try {
    const losses: number[] = [];
    let last;
    for (let i = 0; i < 3; i++) {
      last = await trainer.step(x, y, 0.05);
      losses.push(last.loss);
    }
    await trainer.sync();
    const weights = [...trainer.weights().initializers];
    return { losses, weights, planned: last?.memory, measured: last?.measured, convolutions: last?.convolutions };
  } finally {
    trainer.dispose();
  }
}

describe('memory: dynamic convolution workspace', () => {
  it('takes the fastest form that fits, more of it with more room, and the slimmest where none fits', () => {
    const options = [
      { name: 'fast', seconds: 1, workspaceBytes: 100 },
      { name: 'middle', seconds: 2, workspaceBytes: 50 },
      { name: 'slim', seconds: 5, workspaceBytes: 10 },
    ];
    assert.deepEqual(
      [200, 100, 99, 50, 49, 10, 0].map((room) => fastestWithin(options, room).name),
      ['fast', 'fast', 'middle', 'middle', 'slim', 'slim', 'slim'],
    );
  });

  it('trains below the floor of the fastest forms, with the planned peak and the bits of an unlimited run, and with the fastest forms where there is room', async () => {
    const workspace = dynamicWorkspace(runtime, network(), { batch: 8, training: true, optimiser });
    const roomy = workspace.within('auto', 2 ** 30);
    assert.ok(roomy.forms.length > 0 && roomy.forms.every(({ form, fastestForm }) => form === fastestForm));
    const usual = memoryFloor(roomy.built.program, 'liveness').bytes;
    const lean = memoryFloor(workspace.leanest.program, 'liveness').bytes;
    assert.ok(lean < usual && usual <= leastPool(roomy.built.program), `${lean} below ${usual}`);
    const tight = workspace.within('liveness', lean);
    assert.ok(tight.schedule && tight.schedule.poolBytes <= lean);
    assert.ok(tight.forms.some(({ form, fastestForm }) => form !== fastestForm));
    const budget = { policy: 'liveness', budget: lean, poison: true } as const;
    await assert.rejects(trained(budget), /does not hold a training step/);
    const [free, dynamic] = [await trained(), await trained({ ...budget, workspace: 'dynamic' })];
    assert.equal(dynamic.measured?.peakBytes, dynamic.planned?.peakBytes);
    assert.deepEqual(dynamic.convolutions, tight.forms);
    const wide = { policy: 'liveness', budget: 2 ** 30 } as const;
    assert.deepEqual((await trained({ ...wide, workspace: 'dynamic' })).losses, (await trained(wide)).losses);
    dynamic.losses.forEach((loss, i) => assert.ok(Math.abs(loss - (free.losses[i] ?? 0)) < 1e-5, `${loss}, ${free.losses[i]}`));
    const alike = await trained({ ...budget, workspace: 'dynamic' }, unlimited);
    assert.ok((alike.planned?.poolBytes ?? 0) > lean);
    assert.deepEqual(alike.losses, dynamic.losses);
    assert.deepEqual(alike.weights, dynamic.weights);
  });

  it('refuses a device whose convolutions were not measured', async () => {
    const elsewhere = new DeviceRuntime(runtime, 'webgpu', runtime, (message) => assert.ok(false, message));
    await assert.rejects(trained({ budget: 2 ** 30, workspace: 'dynamic' }, elsewhere), /trained on webgpu: give --device cpu/);
  });
});

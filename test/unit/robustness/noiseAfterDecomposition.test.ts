import assert from 'node:assert/strict';
import { Layers } from '../../../engine/architectures/layers';
import { decomposeLayer } from '../../../engine/decomposition/decompose';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { createPerturbation } from '../../../engine/robustness/noise/createPerturbation';
import { insertionPoints } from '../../../engine/robustness/noise/insertionPoints';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { type StepResult, Trainer } from '../../../engine/training/trainer';

const runtime = openRuntime();

/** Two convolutions and two linear layers. */
function network() {
  const net = new Layers('net', 3, 'fan-out');
  let x = net.relu(net.conv(net.input([3, 8, 8]), 'c0', 8), 'r0');
  x = net.relu(net.batchNorm(net.conv(x, 'c1', 8), 'n1'), 'r1');
  x = net.relu(net.linear(net.flatten(x), 'fc1', 16), 'r2');
  return net.finish(net.linear(x, 'fc2', 4));
}

describe('noise on a decomposed network', () => {
  it('goes where it went before, and trains it with every method', async () => {
    const before = network();
    const convolution = { inputModes: [3], outputModes: [8], ranks: [2, 2], blocks: 2 };
    const { graph: first } = await decomposeLayer(runtime, before, 'c0', convolution, { starts: 0, sweeps: 3 });
    const linear = { inputModes: [16, 32], outputModes: [4, 4], ranks: [4], blocks: 2 };
    const { graph } = await decomposeLayer(runtime, first, 'fc1', linear, { starts: 0, sweeps: 3 });
    const layers = insertionPoints(graph).map(({ layer }) => layer);
    assert.deepEqual(
      layers,
      insertionPoints(before).map(({ layer }) => layer),
    );
    const random = new Random(1);
    const x = float32(
      [8, 3, 8, 8],
      Float32Array.from({ length: 8 * 192 }, () => random.normal()),
    );
    for (const method of ['anl', 'canl', 'gaussian'] as const) {
      const trainer = await Trainer.create(runtime, graph, {
        batch: 8,
        optimiser: { kind: 'sgd', momentum: 0.9 },
        perturbation: createPerturbation(graph, { method }, () => assert.fail('no image is perturbed')),
      });
      const steps: StepResult[] = [];
      for (let i = 0; i < 8; i++) steps.push(await trainer.step(x, int64([8], [0, 1, 2, 3, 0, 1, 2, 3]), 0.02));
      trainer.dispose();
      assert.ok(steps.at(-1)!.loss < steps[0]!.loss, method);
      assert.ok(
        layers.every((layer) => (steps.at(-1)!.reports.get(layer) ?? 0) > 0),
        method,
      );
    }
  });
});

/** Training steps of a CIFAR ResNet of any depth, batch 32: node memoryDepthStep.cjs DEPTH STEPS THREADS [BUDGET]. Prints what memoryDepth.ts reads. */
import { createModel } from '../../engine/architectures/createModel';
import { float32, int64 } from '../../engine/graph/tensor';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { Random } from '../../engine/graph/random';

const BATCH = 32;

async function main(): Promise<void> {
  const [depth = 0, steps = 0, threads = 1, budget] = process.argv.slice(2).map(Number);
  const random = new Random(1);
  const x = float32(
    [BATCH, 3, 32, 32],
    Float32Array.from({ length: BATCH * 3072 }, () => random.normal()),
  );
  const y = int64(
    [BATCH],
    Array.from({ length: BATCH }, (_, i) => i % 10),
  );
  const trainer = await Trainer.create(openRuntime(), createModel(`resnet${depth}`, { input: [3, 32, 32], classes: 10, seed: 1 }), {
    batch: BATCH,
    optimiser: { kind: 'sgd', momentum: 0.9 },
    threads,
    consume: true,
    ...(budget === undefined ? {} : { memory: { budget } }),
  });
  console.log('compiled', process.uptime(), process.resourceUsage().maxRSS * 1024);
  for (let step = 0; step < steps; step++) {
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const { loss } = await trainer.step(x, y, 0.01);
    const { user, system } = process.cpuUsage(cpu);
    console.log('step', (performance.now() - start) / 1e3, (user + system) / 1e6, loss);
  }
  console.log('peak', process.resourceUsage().maxRSS * 1024);
  trainer.dispose();
}

void main();

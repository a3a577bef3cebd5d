/**
 * Training steps of a CIFAR ResNet of any depth, batch 32: node memoryDepthStep.cjs DEPTH STEPS THREADS [BUDGET|half]. Prints what
 * memoryDepthCommands.ts reads. 'half' is half of the least pool that holds everything.
 */
import { createModel } from '../../engine/architectures/createModel';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { batchOf } from './benchCase';
import { wholePool } from './wholePool';

const BATCH = 32;
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;

async function main(): Promise<void> {
  const [depth = 0, steps = 0, threads = 1] = process.argv.slice(2).map(Number);
  const given = process.argv[5];
  const { x, y } = batchOf(BATCH, [3, 32, 32]);
  const runtime = openRuntime();
  const network = createModel(`resnet${depth}`, { input: [3, 32, 32], classes: 10, seed: 1 });
  const budget = given === 'half' ? Math.floor((await wholePool(runtime, network, { batch: BATCH, optimiser })) / 2) : Number(given);
  const trainer = await Trainer.create(runtime, network, {
    batch: BATCH,
    optimiser,
    threads,
    consume: true,
    ...(given === undefined ? {} : { memory: { budget } }),
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

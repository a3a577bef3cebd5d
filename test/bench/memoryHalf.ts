/**
 * Step time of a CIFAR ResNet, batch 32, within a pool of half of the least that holds everything, against the unplanned step: in turns in one
 * process, processor and wall time.
 *
 *     npx tsx test/bench/memoryHalf.ts [DEPTH] [TURNS]
 */
import { createModel } from '../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../engine/autodiff/trainingGraph';
import { float32, int64 } from '../../engine/graph/tensor';
import { lowerGraph } from '../../engine/memory/lowerGraph';
import { leastPool } from '../../engine/memory/plan';
import { blockSize } from '../../engine/runtime/layout';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';

const BATCH = 32;
const [depth = 56, turns = 7] = process.argv.slice(2).map(Number);
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;

async function main(): Promise<void> {
  const runtime = openRuntime();
  const network = createModel(`resnet${depth}`, { input: [3, 32, 32], classes: 10, seed: 1 });
  const block = await blockSize(runtime, undefined);
  const training = buildTrainingGraph(network, { batch: BATCH, training: true, optimiser, block });
  const whole = leastPool(lowerGraph(training.graph, { carry: carriedValues(training) }).program);
  const plain = await Trainer.create(runtime, network, { batch: BATCH, optimiser, threads: 1 });
  const half = await Trainer.create(runtime, network, { batch: BATCH, optimiser, threads: 1, memory: { budget: Math.floor(whole / 2) } });
  const x = float32(
    [BATCH, 3, 32, 32],
    Float32Array.from({ length: BATCH * 3072 }, (_, i) => Math.sin(i)),
  );
  const y = int64(
    [BATCH],
    Array.from({ length: BATCH }, (_, i) => i % 10),
  );
  const times = { plain: [] as number[][], half: [] as number[][] };
  for (let turn = 0; turn <= turns; turn++)
    for (const [name, trainer] of [
      ['plain', plain],
      ['half', half],
    ] as const) {
      const [start, cpu] = [performance.now(), process.cpuUsage()];
      await trainer.step(x, y, 0.01);
      const { user, system } = process.cpuUsage(cpu);
      if (turn > 0) times[name].push([performance.now() - start, (user + system) / 1000]);
    }
  const median = (list: number[][], i: number): number => list.map((pair) => pair[i] ?? NaN).sort((a, b) => a - b)[list.length >> 1] ?? NaN;
  const ratio = (i: number): string => (median(times.half, i) / median(times.plain, i)).toFixed(2);
  console.log(
    `ResNet-${depth}: everything ${(whole / 2 ** 20).toFixed(0)} MiB; in half, wall ${median(times.half, 0).toFixed(0)} : ${median(times.plain, 0).toFixed(0)} ms = ${ratio(0)}, processor ${median(times.half, 1).toFixed(0)} : ${median(times.plain, 1).toFixed(0)} ms = ${ratio(1)}`,
  );
  plain.dispose();
  half.dispose();
}

void main();

/**
 * Step time of a CIFAR ResNet, batch 32, within a pool of half of the least that holds everything, and within all of it, against the unplanned
 * step: in turns in one process, wall and processor time.
 *
 *     npx tsx test/bench/memoryHalf.ts [DEPTH] [TURNS] [THREADS]
 */
import { createModel } from '../../engine/architectures/createModel';
import { hiddenPart } from '../../engine/contract/memory';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { batchOf } from './benchCase';
import { wholePool } from './wholePool';

const BATCH = 32;
const [depth = 56, turns = 7, threads = 1] = process.argv.slice(2).map(Number);
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;

async function main(): Promise<void> {
  const runtime = openRuntime();
  const network = createModel(`resnet${depth}`, { input: [3, 32, 32], classes: 10, seed: 1 });
  const whole = await wholePool(runtime, network, { batch: BATCH, optimiser });
  const create = (budget?: number): Promise<Trainer> =>
    Trainer.create(runtime, network, { batch: BATCH, optimiser, threads, ...(budget === undefined ? {} : { memory: { budget } }) });
  const trainers = { unplanned: await create(), whole: await create(whole), half: await create(Math.floor(whole / 2)) };
  const { x, y } = batchOf(BATCH, [3, 32, 32]);
  const times = new Map(Object.keys(trainers).map((name) => [name, { wall: [] as number[], processor: [] as number[] }]));
  const transfers = { transferSeconds: 0, waitedSeconds: 0 };
  for (let turn = 0; turn <= turns; turn++)
    for (const [name, trainer] of Object.entries(trainers)) {
      const [start, cpu] = [performance.now(), process.cpuUsage()];
      const { measured } = await trainer.step(x, y, 0.01);
      const { user, system } = process.cpuUsage(cpu);
      if (turn === 0) continue;
      times.get(name)?.wall.push(performance.now() - start);
      times.get(name)?.processor.push((user + system) / 1000);
      if (name !== 'half' || !measured) continue;
      transfers.transferSeconds += measured.transferSeconds;
      transfers.waitedSeconds += measured.waitedSeconds;
    }
  const median = (list: readonly number[] = []): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? NaN;
  const base = times.get('unplanned');
  console.log(`ResNet-${depth}, ${threads} thread(s): everything takes ${(whole / 2 ** 20).toFixed(0)} MiB`);
  for (const [name, { wall, processor }] of times)
    console.log(
      `  ${name}: ${median(wall).toFixed(0)} ms, ${(median(wall) / median(base?.wall)).toFixed(2)} times; processor ${median(processor).toFixed(0)} ms, ${(median(processor) / median(base?.processor)).toFixed(2)} times`,
    );
  console.log(
    `  in half, transfers took ${((1000 * transfers.transferSeconds) / turns).toFixed(0)} ms a step, ${(100 * (hiddenPart(transfers) ?? NaN)).toFixed(0)} % of it behind computing`,
  );
  for (const trainer of Object.values(trainers)) trainer.dispose();
}

void main();

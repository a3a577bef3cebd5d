/**
 * Tick-Tock against cutting once by L1 norm or at random, at the same budget and for the same number of training steps, over seeds.
 * npx tsx test/bench/criteria.ts [DATA] [SEEDS] [FRACTION OF MACS]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createModelFile } from '../../engine/server/operations/create';
import { evaluateModel } from '../../engine/server/operations/evaluate';
import { pruneModel } from '../../engine/server/operations/prune';
import { tickTockModel } from '../../engine/server/operations/tickTock';
import { trainModel } from '../../engine/server/operations/train';

const [where = 'generated:shapes?classes=10&size=16&seed=1&count=3000', seeds = '3', fraction = '0.2'] = process.argv.slice(2);
const LIMIT = 4000;
const BATCH = 64;
const FINETUNE = 4;
const RATE = 0.02;

async function compare(seed: number, folder: string): Promise<Record<string, number>> {
  const data = { data: where, limit: LIMIT, threads: 1 };
  const at = (name: string): string => path.join(folder, `${name}.onnx`);
  const accuracy = async (name: string): Promise<number> => 100 * (await evaluateModel(at(name), data)).accuracy;
  await createModelFile('resnet8', at('fresh'), { input: [3, 16, 16], classes: 10, shortcut: 'conv', seed });
  await trainModel(at('fresh'), { ...data, epochs: 12, batch: BATCH, learningRate: 0.1, seed, output: at('base') });
  const config = {
    ...{ filtersPerTick: 0.1, tickData: 0.25, initialTock: false, batch: BATCH, augment: false, seed },
    ...{ finetuneEpochs: FINETUNE, finetuneHighRate: RATE, finalEpochs: 0 },
  };
  const flops = Number(fraction);
  const { history } = await tickTockModel(at('base'), { ...data, flops, config, output: at('tick-tock') });
  const epochs = FINETUNE + Math.round(config.tickData * history.filter((p) => p.phase === 'tick').length);
  for (const criterion of ['l1', 'random'] as const) {
    await pruneModel(at('base'), { ...data, flops, criterion, seed, output: at(`${criterion}-cut`) });
    const tuning = { epochs, batch: BATCH, learningRate: RATE, schedule: 'triangular', seed } as const;
    await trainModel(at(`${criterion}-cut`), { ...data, ...tuning, output: at(criterion) });
  }
  return {
    base: await accuracy('base'),
    'tick-tock': await accuracy('tick-tock'),
    l1: await accuracy('l1'),
    random: await accuracy('random'),
    epochs,
  };
}

async function main(): Promise<void> {
  for (let seed = 1; seed <= Number(seeds); seed++) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-criteria-'));
    const result = await compare(seed, folder);
    rmSync(folder, { recursive: true });
    console.log(
      `seed ${seed}: ${Object.entries(result)
        .map(([name, value]) => `${name} ${value.toFixed(2)}`)
        .join(', ')}`,
    );
  }
}

void main();

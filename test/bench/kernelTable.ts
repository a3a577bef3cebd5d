/**
 * What the measured table of formulations saves: steps of some networks with it and with the built-in rules, in turns, in both layouts,
 * in processor time of one thread. `scalpel calibrate` first, then `npx tsx test/bench/kernelTable.ts [network:batch:size ...]`.
 */
import { formatTable } from '../../engine/cli/table';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { batchOf, networkOf, parseCase } from './benchCase';

const ROUNDS = 9;
const CASES = ['resnet20:64:32', 'vgg16-bn:16:32', 'mobilenet-v2:16:96', 'resnet50:2:224'];

const measured = openRuntime();
const builtIn = openRuntime();
builtIn.kernelCosts = () => undefined;

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.round(q * (sorted.length - 1))] ?? NaN;

async function compare(name: string, layout: 'blocked' | 'portable'): Promise<string[]> {
  const item = parseCase(name);
  const { x, y } = batchOf(item.batch, item.input);
  const options = { batch: item.batch, optimiser: { kind: 'sgd', momentum: 0.9 }, threads: 1, layout } as const;
  const trainers = [await Trainer.create(builtIn, networkOf(item), options), await Trainer.create(measured, networkOf(item), options)];
  const timed = async (trainer: Trainer): Promise<number> => {
    const start = process.cpuUsage();
    await trainer.step(x, y, 1e-4);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  const times: number[][] = [[], []];
  for (let round = -2; round < ROUNDS; round++)
    for (const [i, trainer] of trainers.entries()) {
      const ms = await timed(trainer);
      if (round >= 0) times[i]?.push(ms);
    }
  trainers.forEach((trainer) => trainer.dispose());
  const ratios = (times[1] ?? []).map((ms, round) => ms / (times[0]?.[round] ?? NaN)).sort((a, b) => a - b);
  const [before, after] = times.map((list) =>
    quantile(
      [...list].sort((a, b) => a - b),
      0.5,
    ).toFixed(0),
  );
  const ratio = [0.5, 0.25, 0.75].map((q) => quantile(ratios, q).toFixed(2));
  return [name, layout, before ?? '', after ?? '', `${ratio[0] ?? ''} (${ratio[1] ?? ''}-${ratio[2] ?? ''})`];
}

async function main(): Promise<void> {
  if (!measured.kernelCosts?.()) throw new Error('Nothing was measured here: run scalpel calibrate');
  const names = process.argv.slice(2);
  const rows = [];
  for (const name of names.length > 0 ? names : CASES)
    for (const layout of ['blocked', 'portable'] as const) rows.push(await compare(name, layout));
  console.log(formatTable(['step', 'layout', 'built in, ms', 'measured, ms', 'ratio (quartiles)'], rows));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

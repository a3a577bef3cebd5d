/**
 * Step times of a CIFAR ResNet, batch 32, under one hard limit on the memory of the whole process: ours within a small budget, within half of
 * the least pool that holds everything, and unplanned; PyTorch, and PyTorch with checkpoints. The processes take turns; medians over the
 * steps of all turns but the first of each process. Needs what memoryDepth.ts needs.
 *
 *     npx tsx test/bench/memoryTimes.ts [--limit MiB] [--depth 6n+2] [--turns N] [--steps N] [--threads N]
 */
import os from 'node:os';
import { parseArgs } from 'node:util';
import { type Kind, MIB, buildWorker, trainWithin } from './memoryDepthCommands';

const { values: flags } = parseArgs({
  options: {
    limit: { type: 'string', default: '768' },
    depth: { type: 'string', default: '98' },
    turns: { type: 'string', default: '3' },
    steps: { type: 'string', default: '5' },
    threads: { type: 'string', default: '1' },
  },
});
const NAMES: Readonly<Record<Kind, string>> = {
  unplanned: 'ours, unplanned',
  half: 'ours, half of the pool that holds everything',
  budget: 'ours, pool of 64 MiB and a little',
  eager: 'PyTorch',
  'per-block': 'PyTorch, a checkpoint for every block',
  'sqrt-segments': 'PyTorch, about sqrt(blocks) segments',
};
const limit = Number(flags.limit) * MIB;
const n = Math.max(1, Math.round((Number(flags.depth) - 2) / 6));
const settings = { n, steps: Number(flags.steps), threads: Number(flags.threads), heap: 256 * MIB };

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

async function main(): Promise<void> {
  buildWorker();
  console.log(
    `ResNet-${6 * n + 2}, batch 32, ${flags.limit} MiB for the whole process, ${flags.threads} thread(s), ${os.cpus()[0]?.model ?? ''}`,
  );
  const kinds = Object.keys(NAMES) as Kind[];
  const times = new Map(kinds.map((kind) => [kind, { wall: [] as number[], processor: [] as number[], peak: 0, ok: true }]));
  for (let turn = 0; turn < Number(flags.turns); turn++)
    for (const [kind, seen] of times) {
      if (!seen.ok) continue;
      const { ok, steps, peak } = await trainWithin(kind, settings, limit);
      seen.ok = ok;
      seen.peak = Math.max(seen.peak, peak);
      for (const { wall, processor } of steps.slice(1)) {
        seen.wall.push(wall);
        seen.processor.push(processor);
      }
    }
  const base = times.get('unplanned');
  for (const [kind, { wall, processor, peak, ok }] of times) {
    if (!ok) console.log(`${NAMES[kind]}: does not train, ${(peak / MIB).toFixed(0)} MiB`);
    else {
      const against = base?.ok
        ? `, ${(median(wall) / median(base.wall)).toFixed(2)} and ${(median(processor) / median(base.processor)).toFixed(2)} times the unplanned`
        : '';
      console.log(
        `${NAMES[kind]}: ${median(wall).toFixed(2)} s a step, ${median(processor).toFixed(2)} s of processor${against}; ${(peak / MIB).toFixed(0)} MiB`,
      );
    }
  }
}

void main();

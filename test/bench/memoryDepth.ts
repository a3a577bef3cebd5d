/**
 * Deepest CIFAR ResNet (6n + 2 layers) that trains at batch 32 under one hard limit on the memory of the whole process, enforced by the
 * kernel (a memory control group, version 1): ours, PyTorch, PyTorch with checkpoints. Needs Linux, the right to make control groups, and
 * python3 with torch.
 *
 *     npx tsx test/bench/memoryDepth.ts [--limit MiB] [--threads N]
 */
import os from 'node:os';
import { parseArgs } from 'node:util';
import { type Kind, MIB, type Outcome, buildWorker, trainWithin } from './memoryDepthCommands';

const { values: flags } = parseArgs({
  options: {
    limit: { type: 'string', default: '768' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    most: { type: 'string', default: '700' },
  },
});
const limit = Number(flags.limit) * MIB;
const KINDS: readonly Kind[] = ['budget', 'eager', 'per-block', 'sqrt-segments'];

const run = (kind: Kind, n: number, bytes: number | undefined): Promise<Outcome> =>
  trainWithin(kind, { n, steps: 2, threads: Number(flags.threads), heap: limit / 2 }, bytes);

function show(n: number, { ok, steps, loss, peak }: Outcome): string {
  const last = steps.at(-1);
  const times = `step ${last?.wall.toFixed(1) ?? ''} s, processor ${last?.processor.toFixed(1) ?? ''} s`;
  const outcome = ok ? `trains, ${times}, loss ${Number(loss).toFixed(3)}` : 'does not train';
  return `depth ${6 * n + 2}: ${outcome}, peak ${(peak / MIB).toFixed(0)} MiB`;
}

/** Doubles and bisects, to a twentieth of the depth. */
async function deepest(kind: Kind): Promise<number> {
  const attempt = async (n: number): Promise<boolean> => {
    const outcome = await run(kind, n, limit);
    console.log(`  ${kind} ${show(n, outcome)}`);
    return outcome.ok;
  };
  let [low, high] = [0, kind === 'budget' ? 64 : 8];
  while (high <= Number(flags.most) && (await attempt(high))) [low, high] = [high, 2 * high];
  while (high - low > Math.max(1, low / 20)) {
    const middle = (low + high) >> 1;
    if (await attempt(middle)) low = middle;
    else high = middle;
  }
  return low;
}

async function main(): Promise<void> {
  buildWorker();
  console.log(`Limit ${flags.limit} MiB for the whole process, ${flags.threads} thread(s), ${os.cpus()[0]?.model ?? ''}`);
  const kinds = (flags.only?.split(',') as Kind[] | undefined) ?? KINDS;
  const found = new Map<Kind, number>();
  for (const kind of kinds) found.set(kind, await deepest(kind));
  for (const [kind, n] of found)
    console.log(`${kind}: deepest ${6 * n + 2}; without a limit ${show(n, await run(kind, Math.max(1, n), undefined))}`);
}

void main();

/**
 * Deepest CIFAR ResNet (6n + 2 layers) that trains at batch 32 under one hard limit on the memory of the whole process, enforced by the
 * kernel (a memory control group, version 1): ours, PyTorch, PyTorch with checkpoints. Then the step time within a pool of half of the
 * liveness-only peak against the unplanned step. Needs Linux, the right to make control groups, and python3 with torch.
 *
 *     npx tsx test/bench/memoryDepth.ts [--limit MiB] [--threads N]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildSync } from 'esbuild';

const GROUPS = '/sys/fs/cgroup/memory';
const MIB = 2 ** 20;
const { values: flags } = parseArgs({
  options: {
    limit: { type: 'string', default: '768' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    most: { type: 'string', default: '700' },
  },
});
const limit = Number(flags.limit) * MIB;

interface Outcome {
  readonly ok: boolean;
  readonly step: number;
  readonly cpu: number;
  readonly loss: string;
  /** Most that the kernel charged to the process, bytes. */
  readonly peak: number;
}

const worker = path.join(__dirname, '../../dist/memoryDepthStep.cjs');
buildSync({
  entryPoints: [path.join(__dirname, 'memoryDepthStep.ts')],
  outfile: worker,
  bundle: true,
  platform: 'node',
  external: ['koffi', 'onnxruntime-node'],
});

/** A pool that grows only by what stays in it: small vectors of every layer. */
const budgetOf = (n: number): number => Math.round((64 + 0.06 * n) * MIB);

const KINDS: Record<string, (n: number, steps: number) => string[]> = {
  ours: (n, steps) => [
    process.execPath,
    '--max-semi-space-size=2',
    `--max-old-space-size=${Math.round(limit / 2 / MIB)}`,
    worker,
    String(6 * n + 2),
    String(steps),
    flags.threads,
    String(budgetOf(n)),
  ],
  eager: (n, steps) => torch('eager', n, steps),
  'per-block': (n, steps) => torch('per-block', n, steps),
  'sqrt-segments': (n, steps) => torch('sqrt-segments', n, steps),
};

const torch = (mode: string, n: number, steps: number): string[] => [
  process.env.PYTHON ?? '/usr/bin/python3',
  path.join(__dirname, 'memoryDepthTorch.py'),
  mode,
  String(n),
  String(steps),
  flags.threads,
];

function run(command: string[], bytes: number | undefined): Promise<Outcome> {
  const group = path.join(GROUPS, `scalpel-depth-${process.pid}`);
  mkdirSync(group);
  if (bytes !== undefined) writeFileSync(path.join(group, 'memory.limit_in_bytes'), String(bytes));
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      const peak = Number(readFileSync(path.join(group, 'memory.max_usage_in_bytes'), 'utf8'));
      rmdirSync(group);
      const steps = output.split('\n').filter((line) => line.startsWith('step'));
      const [, step = NaN, cpu = NaN] = (steps.at(-1) ?? '').split(' ').map(Number);
      if (code !== 0 && process.env.DEBUG) console.error(output, errors.slice(-2000));
      resolve({ ok: code === 0, step, cpu, loss: (steps.at(-1) ?? '').split(' ')[3] ?? '', peak });
    });
  });
}

const show = (n: number, { ok, step, cpu, loss, peak }: Outcome): string =>
  `depth ${6 * n + 2}: ${ok ? `trains, step ${step.toFixed(1)} s, processor ${cpu.toFixed(1)} s, loss ${Number(loss).toFixed(3)}` : 'does not train'}, peak ${(peak / MIB).toFixed(0)} MiB`;

/** Doubles and bisects, to a twentieth of the depth. */
async function deepest(kind: string): Promise<number> {
  const command = KINDS[kind] as (n: number, steps: number) => string[];
  const attempt = async (n: number): Promise<boolean> => {
    const outcome = await run(command(n, 2), limit);
    console.log(`  ${kind} ${show(n, outcome)}`);
    return outcome.ok;
  };
  let [low, high] = [0, kind === 'ours' ? 64 : 8];
  while (high <= Number(flags.most) && (await attempt(high))) [low, high] = [high, 2 * high];
  while (high - low > Math.max(1, low / 20)) {
    const middle = (low + high) >> 1;
    if (await attempt(middle)) low = middle;
    else high = middle;
  }
  return low;
}

async function main(): Promise<void> {
  console.log(`Limit ${flags.limit} MiB for the whole process, ${flags.threads} thread(s), ${os.cpus()[0]?.model ?? ''}`);
  const kinds = flags.only?.split(',') ?? Object.keys(KINDS);
  const found = new Map<string, number>();
  for (const kind of kinds) found.set(kind, await deepest(kind));
  for (const [kind, n] of found) {
    const unlimited = await run((KINDS[kind] as (n: number, steps: number) => string[])(Math.max(1, n), 2), undefined);
    console.log(`${kind}: deepest ${6 * n + 2}; without a limit ${show(n, unlimited)}`);
  }
}

void main();

/**
 * Training step (forward, backward, SGD with momentum), evaluation, first step and peak memory against PyTorch in its default layout and in
 * channels_last, in turns in one run. `npm run bench -- [--layout portable] [--cpu] [--profile] [--rounds 5] [resnet20:128:32 ...]`, a case being
 * network:batch:size. It reports; it asserts nothing.
 */
import { spawn } from 'node:child_process';
import { createModel } from '../../engine/architectures/createModel';
import { formatTable } from '../../engine/cli/table';
import { Random } from '../../engine/graph/random';
import { float32, int64 } from '../../engine/graph/tensor';
import type { Layout } from '../../engine/runtime/layout';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { TorchPeer } from './torchPeer';

const CASES = ['resnet20:128:32', 'resnet56:128:32', 'vgg16-bn:32:32', 'mobilenet-v2:32:96', 'resnet50:8:224'];
const STEPS = 3;

interface Options {
  readonly layout: Layout;
  readonly profile: boolean;
  readonly rounds: number;
  readonly threads: number;
  /** Processor time instead of wall time: steadier beside other work, and meaningful with one thread. */
  readonly cpu: boolean;
}

const quantile = (values: readonly number[], q: number): number => [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? NaN;
const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Median of the rounds' ratios, with the quartiles. */
function ratio(ours: readonly number[], theirs: readonly number[]): string {
  const ratios = ours.map((ms, i) => ms / (theirs[i] ?? NaN));
  return `${median(ratios).toFixed(2)} (${quantile(ratios, 0.25).toFixed(2)}-${quantile(ratios, 0.75).toFixed(2)})`;
}

/** Milliseconds of the wall, or of the processor's work for this process. */
const clockOf = (cpu: boolean) => (): number => {
  if (!cpu) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function timed(clock: () => number, steps: number, step: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const start = clock();
    await step();
    times.push(clock() - start);
  }
  return times;
}

async function compare(name: string, { layout, profile, rounds, threads, cpu }: Options): Promise<string[]> {
  const [network = '', ...sizes] = name.split(':');
  const [batch = 1, size = 32] = sizes.map(Number);
  const random = new Random(1);
  const x = float32(
    [batch, 3, size, size],
    Float32Array.from({ length: batch * 3 * size * size }, () => random.normal()),
  );
  const y = int64(
    [batch],
    Array.from({ length: batch }, (_, i) => i % 10),
  );
  const start = performance.now();
  const graph = createModel(network, { input: [3, size, size], classes: 10, shortcut: 'conv', seed: 1 });
  const runtime = openRuntime();
  const trainer = await Trainer.create(runtime, graph, { batch, optimiser: { kind: 'sgd', momentum: 0.9 }, threads, profile, layout });
  const train = () => trainer.step(x, y, 0.01);
  await train();
  const first = performance.now() - start;
  const peers = profile
    ? []
    : await Promise.all(
        ['default', 'channels_last'].map((format) => TorchPeer.start(network, [batch, size, threads, format, cpu ? 'cpu' : 'wall'])),
      );
  const program = profile ? undefined : await runtime.compile(graph, { threads });
  const evaluate = async () => program?.run(new Map([['input', x]]));
  const rows = { train: [[], [], []] as number[][], evaluate: [[], [], []] as number[][] };
  let peak = 0;
  for (let round = 0; round <= rounds; round++)
    for (const what of ['train', 'evaluate'] as const) {
      const turns = [await timed(clockOf(cpu), STEPS, what === 'train' ? train : evaluate)];
      for (const peer of peers) {
        const result = await peer?.run(what, STEPS);
        turns.push(result?.times ?? []);
        peak = result?.peak ?? peak;
      }
      if (round > 0) turns.forEach((times, i) => rows[what][i]?.push(median(times)));
    }
  if (profile) printProfile(name, trainer.profile(), (rounds + 1) * STEPS + 1);
  trainer.dispose();
  program?.dispose();
  peers.forEach((peer) => peer?.stop());
  const ms = (values: readonly number[] | undefined): string => median(values ?? []).toFixed(0);
  const [train0, evaluate0] = [rows.train[0] ?? [], rows.evaluate[0] ?? []];
  return [
    name,
    ...rows.train.map(ms),
    ratio(train0, rows.train[1] ?? []),
    ratio(train0, rows.train[2] ?? []),
    `${ms(evaluate0)} : ${ms(rows.evaluate[1])}`,
    `${first.toFixed(0)} : ${peers[0]?.first.toFixed(0) ?? '-'}`,
    `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} : ${peak.toFixed(0)}`,
  ];
}

function printProfile(name: string, profile: Map<string, number> | undefined, steps: number): void {
  console.log(name);
  const rows = [...(profile ?? [])].sort((a, b) => b[1] - a[1]);
  for (const [op, ms] of rows.slice(0, 20)) console.log(`  ${op.padEnd(28)} ${(ms / steps).toFixed(2).padStart(9)} ms a step`);
}

const HEAD = ['network:batch:size', 'ours', 'PyTorch', 'chan. last', 'ratio', 'to chan. last', 'evaluate', 'first step', 'peak MiB'];

/** Each case has a process of its own, so that peak memory is its own. */
async function inOwnProcess(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [...process.execArgv, __filename, '--case', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const part of child.stdout) text += String(part);
  return text.trim();
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const value = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const options: Options = {
    layout: (value('--layout') ?? 'auto') as Layout,
    profile: args.includes('--profile'),
    rounds: Number(value('--rounds') ?? 5),
    cpu: args.includes('--cpu'),
    threads: Number(value('--threads') ?? (args.includes('--cpu') ? 1 : 2)),
  };
  const named = args.filter((a) => a.includes(':'));
  if (args.includes('--case')) {
    console.log(JSON.stringify(await compare(named[0] ?? '', options)));
    return;
  }
  const rest = args.filter((a) => !a.includes(':'));
  const rows: string[][] = [];
  for (const item of named.length > 0 ? named : CASES) {
    const lines = (await inOwnProcess([item, ...rest])).split('\n');
    lines.slice(0, -1).forEach((line) => console.log(line));
    rows.push(JSON.parse(lines.at(-1) ?? '[]') as string[]);
  }
  if (!options.profile) console.log(`Milliseconds; "ours : PyTorch" in the last three.\n${formatTable(HEAD, rows)}`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

/**
 * Training step (forward, backward, SGD with momentum), evaluation, first step and peak memory against PyTorch in its default layout and in
 * channels_last, in turns in one run, with one step of tfjs beside them for scale.
 * `npm run bench -- [--layout portable] [--cpu] [--profile] [--no-tfjs] [--rounds 5] [resnet20:128:32 ...]`, a case being network:batch:size.
 * It reports; it asserts nothing.
 */
import { spawn } from 'node:child_process';
import { formatTable } from '../../engine/cli/table';
import type { Layout } from '../../engine/runtime/layout';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { type BenchCase, batchOf, networkOf, parseCase } from './benchCase';
import { type TfjsBackend, tfjsStep } from './tfjsStep';
import { TorchPeer } from './torchPeer';

const CASES = [
  'resnet20:128:32',
  'resnet56:128:32',
  'vgg16-bn:32:32',
  'mobilenet-v2:32:96',
  'resnet50:8:224',
  'lstm:64:16x256',
  'bt-lstm:16:6x25920',
  'bt-lstm:16:6x57600',
  'vit-tiny:8:224',
];
const RATE = 1e-3;
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

const shown = (ms: number | undefined): string => (ms === undefined || Number.isNaN(ms) ? '-' : ms.toFixed(ms < 100 ? 1 : 0));

/** Median of the rounds' ratios, with the quartiles. */
function ratio(ours: readonly number[], theirs: readonly number[]): string {
  if (theirs.length === 0) return '-';
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

async function compare(item: BenchCase, { layout, profile, rounds, threads, cpu }: Options): Promise<string[]> {
  const { x, y } = batchOf(item.batch, item.input);
  const clock = clockOf(cpu);
  const start = clock();
  const graph = networkOf(item);
  const runtime = openRuntime();
  const optimiser = { kind: 'sgd', momentum: 0.9 } as const;
  const trainer = await Trainer.create(runtime, graph, { batch: item.batch, optimiser, threads, profile, layout });
  const train = () => trainer.step(x, y, RATE);
  await train();
  const first = clock() - start;
  const formats = item.input.length === 3 ? (['default', 'channels_last'] as const) : (['default'] as const);
  const peers = profile ? [] : await Promise.all(formats.map((memoryFormat) => TorchPeer.start(item, { threads, memoryFormat, cpu })));
  const program = profile ? undefined : await runtime.compile(graph, { threads });
  const evaluate = async () => program?.run(new Map([['input', x]]));
  const rows = { train: [[], [], []] as number[][], evaluate: [[], [], []] as number[][] };
  let peak = NaN;
  for (let round = 0; round <= rounds; round++)
    for (const what of ['train', 'evaluate'] as const) {
      const turns = [await timed(clock, STEPS, what === 'train' ? train : evaluate)];
      for (const [i, peer] of peers.entries()) {
        const result = await peer?.run(what, STEPS);
        turns.push(result?.times ?? []);
        if (i === 0) peak = result?.peak ?? peak;
      }
      if (round > 0) turns.forEach((times, i) => rows[what][i]?.push(median(times)));
    }
  if (profile) printProfile(item.name, trainer.profile(), (rounds + 1) * STEPS + 1);
  trainer.dispose();
  program?.dispose();
  peers.forEach((peer) => peer?.stop());
  const ms = (values: readonly number[] | undefined): string => shown(median(values ?? []));
  const [train0, evaluate0] = [rows.train[0] ?? [], rows.evaluate[0] ?? []];
  return [
    item.name,
    ...rows.train.map(ms),
    ratio(train0, rows.train[1] ?? []),
    ratio(train0, rows.train[2] ?? []),
    `${ms(evaluate0)} : ${ms(rows.evaluate[1])}`,
    `${shown(first)} : ${shown(peers[0]?.first)}`,
    `${shown(process.resourceUsage().maxRSS / 1024)} : ${shown(peak)}`,
  ];
}

/** Operators by what they do; batch norm's passes in the blocked layout are convolutions. All others are elementwise. */
const KINDS: Readonly<Record<string, string>> = {
  convolutions: 'Conv ConvTranspose',
  products: 'FusedMatMul MatMul Gemm',
  copies: 'Transpose Concat Split Slice Gather Reshape Pad Expand Upsample ReorderInput ReorderOutput ScatterElements ConstantOfShape',
  'pools and sums': 'MaxPool AveragePool GlobalAveragePool ReduceSum ReduceMean ReduceMax ArgMax',
};

const kindOf = (op: string): string => Object.keys(KINDS).find((kind) => KINDS[kind]?.split(' ').includes(op)) ?? 'elementwise';

function printProfile(name: string, profile: Map<string, number> | undefined, steps: number): void {
  console.log(name);
  const rows = [...(profile ?? [])].sort((a, b) => b[1] - a[1]);
  for (const [op, ms] of rows.slice(0, 20)) console.log(`  ${op.padEnd(28)} ${(ms / steps).toFixed(2).padStart(9)} ms a step`);
  const total = rows.reduce((sum, [, ms]) => sum + ms, 0);
  const shareOf = (kind: string): number => rows.reduce((sum, [op, ms]) => sum + (kindOf(op) === kind ? ms : 0), 0) / total;
  console.log(`  ${[...Object.keys(KINDS), 'elementwise'].map((kind) => `${kind} ${(100 * shareOf(kind)).toFixed(0)} %`).join(', ')}`);
}

const HEAD = ['network:batch:size', 'ours', 'PyTorch', 'chan. last', 'ratio', 'to chan. last', 'evaluate', 'first step', 'peak MiB'];

/** Runs this file in a process of its own, so that peak memory is its own; the last line it prints is its result. */
async function inOwnProcess<T>(args: readonly string[]): Promise<T | undefined> {
  const child = spawn(process.execPath, [...process.execArgv, __filename, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const part of child.stdout) text += String(part);
  const lines = text.trim().split('\n');
  lines.slice(0, -1).forEach((line) => console.log(line));
  return lines.at(-1) ? (JSON.parse(lines.at(-1) ?? '') as T) : undefined;
}

/** Milliseconds of tfjs for the whole batch and how much of it was run, or why it was not. */
async function tfjsColumn(name: string, backend: TfjsBackend): Promise<string> {
  const result = await inOwnProcess<{ ms: number; samples: number } | { refused: string }>(['--tfjs-case', backend, name]);
  if (!result) return 'failed';
  if ('refused' in result) return result.refused;
  const part = result.samples < parseCase(name).batch ? ` (from ${result.samples})` : '';
  return `${shown(result.ms)}${part}`;
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
  const [single = ''] = named;
  if (args.includes('--case')) {
    console.log(JSON.stringify(await compare(parseCase(single), options)));
    return;
  }
  if (args.includes('--tfjs-case')) {
    const result = await tfjsStep(parseCase(single), value('--tfjs-case') as TfjsBackend).catch((error: unknown) => ({
      refused: (error as Error).message.split('\n')[0],
    }));
    console.log(JSON.stringify(result ?? { refused: 'too slow' }));
    return;
  }
  const rest = args.filter((a) => !a.includes(':'));
  const backends = options.profile || args.includes('--no-tfjs') ? [] : (['cpu', 'wasm'] as const);
  const rows: string[][] = [];
  for (const name of named.length > 0 ? named : CASES) {
    const row = (await inOwnProcess<string[]>(['--case', name, ...rest])) ?? [name, 'failed'];
    for (const backend of backends) row.push(await tfjsColumn(name, backend));
    rows.push(row);
    if (!options.profile) console.error(row.join('  '));
  }
  if (options.profile) return;
  const clock = options.cpu ? 'Processor time' : 'Wall time';
  console.log(`${clock}, milliseconds, ${options.threads} thread(s); ratios: median (quartiles) over ${options.rounds} rounds in turns;`);
  console.log('"ours : PyTorch" in the three columns of evaluation, first step (with building and compiling) and peak memory.');
  console.log(formatTable([...HEAD, ...backends.map((b) => `tfjs ${b}`)], rows));
  if (backends.length > 0)
    console.log(
      'tfjs: processor time of one step on one thread, scaled from the samples in brackets; "too slow" where one sample takes minutes.',
    );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

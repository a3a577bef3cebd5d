/**
 * Time of one training step (forward, backward, SGD with momentum) against PyTorch on the same machine, interleaved in one run.
 * `npx tsx test/bench/trainStep.ts [--profile] [--rounds 6] [resnet20:128 vgg16-bn:32]`. It reports; it asserts nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createModel } from '../../engine/architectures/createModel';
import { Random } from '../../engine/graph/random';
import { float32, int64 } from '../../engine/graph/tensor';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';

const THREADS = 2;
const STEPS = 4;

class TorchStep {
  private readonly lines: AsyncIterator<string>;

  private constructor(private readonly child: ChildProcess) {
    if (!child.stdout) throw new Error('No output of python3');
    this.lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  /** Undefined when there is no python3 with torch. */
  static async start(network: string, batch: number): Promise<TorchStep | undefined> {
    const python = process.env.PYTHON ?? '/usr/bin/python3';
    const child = spawn(python, [path.join(__dirname, 'trainStep.py'), network, String(batch), String(THREADS)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.on('error', () => undefined);
    const torch = new TorchStep(child);
    const ready = await torch.lines.next();
    return ready.done ? undefined : torch;
  }

  async times(steps: number): Promise<number[]> {
    this.child.stdin?.write(`${steps}\n`);
    const line = await this.lines.next();
    return String(line.value).split(' ').map(Number);
  }

  stop(): void {
    this.child.kill();
  }
}

const quantile = (values: readonly number[], q: number): number => [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? NaN;

async function compare(network: string, batch: number, rounds: number, profile: boolean): Promise<void> {
  const random = new Random(1);
  const graph = createModel(network, { input: [3, 32, 32], classes: 10, shortcut: 'conv', seed: 1 });
  const x = float32(
    [batch, 3, 32, 32],
    Float32Array.from({ length: batch * 3072 }, () => random.normal()),
  );
  const y = int64(
    [batch],
    Array.from({ length: batch }, (_, i) => i % 10),
  );
  const runtime = openRuntime();
  const trainer = await Trainer.create(runtime, graph, { batch, optimiser: { kind: 'sgd', momentum: 0.9 }, threads: THREADS, profile });
  const torch = profile ? undefined : await TorchStep.start(network, batch);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const times: number[] = [];
    for (let i = 0; i < STEPS; i++) {
      const start = performance.now();
      await trainer.step(x, y, 0.05);
      times.push(performance.now() - start);
    }
    if (round > 0) ours.push(...times);
    const peer = (await torch?.times(STEPS)) ?? [];
    if (round > 0) theirs.push(...peer);
  }
  torch?.stop();
  const report = [`${network} batch ${batch}: scalpel ${quantile(ours, 0.5).toFixed(0)} ms (p25 ${quantile(ours, 0.25).toFixed(0)})`];
  if (theirs.length > 0) {
    const ratio = quantile(ours, 0.5) / quantile(theirs, 0.5);
    report.push(`PyTorch ${quantile(theirs, 0.5).toFixed(0)} ms (p25 ${quantile(theirs, 0.25).toFixed(0)})`, `ratio ${ratio.toFixed(2)}`);
  }
  console.log(report.join(', '));
  if (profile) printProfile(trainer.profile(), (rounds + 1) * STEPS);
  trainer.dispose();
}

function printProfile(profile: Map<string, number> | undefined, steps: number): void {
  const rows = [...(profile ?? [])].sort((a, b) => b[1] - a[1]);
  for (const [op, ms] of rows.slice(0, 20)) console.log(`  ${op.padEnd(28)} ${(ms / steps).toFixed(2).padStart(9)} ms a step`);
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const rounds = Number(args[args.indexOf('--rounds') + 1] ?? 6) || 6;
  const cases = args.filter((a) => a.includes(':'));
  for (const item of cases.length > 0 ? cases : ['resnet20:128', 'vgg16-bn:32']) {
    const [network, batch] = item.split(':');
    await compare(network ?? 'resnet20', Number(batch), rounds, args.includes('--profile'));
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

/**
 * Time of a training step with noise against a plain one, interleaved in one run.
 * `npx tsx test/bench/noiseStep.ts [--rounds 5] [--methods plain,anl,canl] [resnet20:64 vgg16-bn:16]`. It reports; it asserts nothing.
 */
import { createModel } from '../../engine/architectures/createModel';
import type { NoiseOptions } from '../../engine/contract/noise';
import { Random } from '../../engine/graph/random';
import { float32, int64 } from '../../engine/graph/tensor';
import { createPerturbation } from '../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';

const STEPS = 2;
const METHODS: Readonly<Record<string, NoiseOptions | undefined>> = {
  plain: undefined,
  anl: { method: 'anl' },
  canl: { method: 'canl' },
  'canl, channel means': { method: 'canl', buffers: 'channel-mean' },
  gaussian: { method: 'gaussian' },
  adversarial: { method: 'adversarial' },
};

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

async function compare(network: string, batch: number, rounds: number, methods: readonly string[]): Promise<void> {
  const random = new Random(1);
  const graph = createModel(network, { input: [3, 32, 32], classes: 10, seed: 1 });
  const x = float32(
    [batch, 3, 32, 32],
    Float32Array.from({ length: batch * 3072 }, () => random.uniform()),
  );
  const y = int64(
    [batch],
    Array.from({ length: batch }, (_, i) => i % 10),
  );
  const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [0], highest: [1] });
  const trainers = new Map<string, Trainer>();
  for (const [name, noise] of Object.entries(METHODS).filter(([method]) => methods.includes(method)))
    trainers.set(
      name,
      await Trainer.create(openRuntime(), graph, {
        batch,
        optimiser: { kind: 'sgd', momentum: 0.9 },
        perturbation: noise && createPerturbation(graph, noise, pixels),
      }),
    );
  const ratios = new Map<string, number[]>();
  const times = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    let plain = NaN;
    for (const [name, trainer] of trainers) {
      const start = performance.now();
      for (let i = 0; i < STEPS; i++) await trainer.step(x, y, 0.01);
      const time = (performance.now() - start) / STEPS;
      if (name === 'plain') plain = time;
      if (round === 0) continue;
      ratios.set(name, [...(ratios.get(name) ?? []), time / plain]);
      times.set(name, [...(times.get(name) ?? []), time]);
    }
  }
  console.log(`\n${network}, batch ${batch}\n\n| step | ms | times a plain step |\n|---|---|---|`);
  for (const name of trainers.keys())
    console.log(`| ${name} | ${median(times.get(name) ?? []).toFixed(0)} | ${median(ratios.get(name) ?? []).toFixed(2)} |`);
  for (const trainer of trainers.values()) trainer.dispose();
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const rounds = Number(option('--rounds') ?? 5);
  const methods = option('--methods')?.split(',') ?? Object.keys(METHODS);
  const cases = args.filter((a) => a.includes(':'));
  for (const item of cases.length > 0 ? cases : ['resnet20:64', 'vgg16-bn:16']) {
    const [network = '', batch] = item.split(':');
    await compare(network, Number(batch), rounds, methods);
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

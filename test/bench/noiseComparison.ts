/**
 * Test accuracy and accuracy under attack of one network trained with each kind of noise, over several seeds.
 *
 * `npx tsx test/bench/noiseComparison.ts --data DIR --network small-vgg --seeds 1,2,3,4,5 --methods none,anl,... --results FILE.jsonl`
 * Every run is a line of the results file and is not made twice, so that an interrupted comparison goes on. Without `--data` it
 * prints the table of what the file holds. With `--tick-tock 0.4` every network is trained without noise and then pruned by Tick-Tock to
 * this part of its MACs with the noise.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { group } from 'd3';
import { createModel } from '../../engine/architectures/createModel';
import { Layers } from '../../engine/architectures/layers';
import type { NoiseOptions } from '../../engine/contract/noise';
import { writeOnnx } from '../../engine/formats/onnx/writeOnnx';
import type { Graph } from '../../engine/graph/graph';
import { openData, trainingSource } from '../../engine/server/operations/data';
import { evaluateModel } from '../../engine/server/operations/evaluate';
import { perturbationFor } from '../../engine/server/operations/noise';
import { evaluateUnderAttack } from '../../engine/server/operations/robustness';
import { tickTockModel } from '../../engine/server/operations/tickTock';
import { runtime } from '../../engine/server/operations/runtime';
import { train } from '../../engine/training/train';
import { ResultsFile, spread } from './resultsFile';

const METHODS: Readonly<Record<string, NoiseOptions | undefined>> = {
  none: undefined,
  gaussian: { method: 'gaussian' },
  dropout: { method: 'dropout' },
  'random-sign': { method: 'random-sign' },
  anl: { method: 'anl' },
  'anl-1': { method: 'anl', epsilon: 1 },
  'anl-1-abs': { method: 'anl', epsilon: 1, scale: 'abs-max' },
  canl: { method: 'canl' },
  'canl-1': { method: 'canl', epsilon: 1 },
  'canl-1-average': { method: 'canl', epsilon: 1, kept: 0.9 },
  'canl-1-channels': { method: 'canl', epsilon: 1, buffers: 'channel-mean' },
  adversarial: { method: 'adversarial' },
};

interface Result {
  readonly data: string;
  readonly network: string;
  readonly method: string;
  readonly seed: number;
  readonly samples: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly accuracy: number;
  /** Accuracy on the attacked samples by attack and radius. */
  readonly attacked: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

const { values: args } = parseArgs({
  options: {
    data: { type: 'string' },
    mean: { type: 'string', default: '0.5' },
    std: { type: 'string', default: '0.25' },
    network: { type: 'string', default: 'small-vgg' },
    seeds: { type: 'string', default: '1,2,3,4,5' },
    methods: { type: 'string', default: 'none,gaussian,dropout,random-sign,anl,anl-1,canl,canl-1,adversarial' },
    samples: { type: 'string', default: '10000' },
    attacked: { type: 'string', default: '1000' },
    epochs: { type: 'string', default: '3' },
    epsilons: { type: 'string', default: '2,8' },
    'tick-tock': { type: 'string' },
    threads: { type: 'string', default: '1' },
    results: { type: 'string', default: 'noise-comparison.jsonl' },
  },
});
const cut = args['tick-tock'] === undefined ? undefined : Number(args['tick-tock']);
/** A short schedule: five to ten Ticks on a fifth of the data, a Tock after every three, two epochs of fine-tuning. */
const TICK_TOCK = {
  filtersPerTick: 0.06,
  tickData: 0.2,
  ticksPerTock: 3,
  tockEpochs: 1,
  initialTock: false,
  finetuneEpochs: 2,
  finalEpochs: 0,
  augment: false,
};
const caseName = cut === undefined ? args.network : `${args.network}, Tick-Tock to ${cut} of the MACs`;
const list = (text: string): number[] => text.split(',').map(Number);
const threads = Number(args.threads);

/** Three stages of two convolutions with batch norm, 8, 16 and 32 filters. */
function smallVgg(input: readonly number[], seed: number): Graph {
  const net = new Layers('small-vgg', seed, 'fan-out');
  let x = net.input(input);
  for (const [stage, filters] of [8, 16, 32].entries()) {
    for (const i of [0, 1]) {
      const name = `features.${stage}.${i}`;
      x = net.relu(net.batchNorm(net.conv(x, `${name}.conv`, filters), `${name}.bn`), `${name}.relu`);
    }
    x = net.maxPool(x, `pool${stage}`, 2, 2);
  }
  return net.finish(net.linear(net.flatten(x), 'classifier', 10));
}

async function run(data: string, method: string, seed: number, folder: string): Promise<Result> {
  const options = { data, mean: list(args.mean), std: list(args.std), limit: Number(args.samples), threads };
  const opened = await openData(options);
  const input = opened.sampleShape;
  const graph = args.network === 'small-vgg' ? smallVgg(input, seed) : createModel(args.network, { input, classes: 10, seed });
  const [batch, epochs] = [128, Number(args.epochs)];
  const source = { ...trainingSource(opened, options, { batch, seed }), test: undefined };
  const start = performance.now();
  const trained = await train(runtime(), graph, source, {
    epochs,
    batch,
    seed,
    threads,
    optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
    schedule: { kind: 'cosine', rate: 0.05 },
    perturbation: cut === undefined ? perturbationFor(graph, METHODS[method], opened, options) : undefined,
  });
  const seconds = (performance.now() - start) / 1000;
  const file = path.join(folder, 'trained.onnx');
  await writeOnnx(trained.network, file);
  if (cut !== undefined)
    await tickTockModel(file, { ...options, flops: cut, noise: METHODS[method], config: { ...TICK_TOCK, seed }, output: file });
  const { accuracy } = await evaluateModel(file, { ...options, limit: undefined });
  const epsilons = list(args.epsilons).map((e) => e / 255);
  const report = await evaluateUnderAttack(file, {
    ...options,
    limit: Number(args.attacked),
    attacks: ['fgsm', 'pgd'],
    epsilons,
    steps: 10,
  });
  const attacked = Object.fromEntries(report.attacks.map((a) => [`${a.attack} ${Math.round(a.epsilon * 255)}/255`, a.accuracy]));
  return {
    data: path.basename(data),
    network: caseName,
    method,
    seed,
    samples: options.limit,
    epochs,
    seconds,
    accuracy,
    attacked,
    warnings: report.warnings,
  };
}

function printTables(results: readonly Result[]): void {
  const cases = group(results, (r) => `${r.network} on ${r.data}, ${r.samples} samples, ${r.epochs} epochs`);
  for (const [title, rows] of cases) {
    const attacks = Object.keys(rows[0]?.attacked ?? {});
    console.log(`\n${title} (accuracy in %, mean ± deviation over seeds)\n`);
    console.log(`| noise | seeds | test | ${attacks.join(' | ')} | s |\n|${'---|'.repeat(attacks.length + 4)}`);
    for (const [method, runs] of group(rows, (r) => r.method)) {
      const cells = attacks.map((attack) => spread(runs.map((r) => r.attacked[attack] ?? NaN)));
      const seconds = runs.reduce((sum, r) => sum + r.seconds, 0) / runs.length;
      console.log(`| ${method} | ${runs.length} | ${spread(runs.map((r) => r.accuracy))} | ${cells.join(' | ')} | ${seconds.toFixed(0)} |`);
    }
  }
}

async function main(): Promise<void> {
  const results = new ResultsFile<Result>(args.results);
  const folder = mkdtempSync(path.join(tmpdir(), 'noise-comparison-'));
  try {
    for (const seed of args.data ? list(args.seeds) : [])
      for (const method of args.methods.split(',')) {
        const key = { data: path.basename(args.data ?? ''), network: caseName, method, seed };
        await results.once(key, () => run(args.data ?? '', method, seed, folder));
      }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  printTables(results.read());
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

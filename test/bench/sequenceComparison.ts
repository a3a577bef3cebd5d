/**
 * Test accuracy of recurrent classifiers, dense and factored, trained with the same budget, over several seeds.
 *
 * `npx tsx test/bench/sequenceComparison.ts --data DIR --seeds 1,2,3,4,5 --epochs 15 --results FILE.jsonl lstm:lr=0.001 bt-lstm:lr=0.003,rank=4`
 * A run is an architecture of `create` with settings of its own: lr, schedule, decay (AdamW), dropout, rank, blocks, gain, hidden,
 * in and out (modes, such as 12.12.12.15). Every run and seed is a line of the results file and is not made twice, so that an
 * interrupted comparison goes on. Without `--data` it prints the tables of what the file holds.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { group } from 'd3';
import { createModel } from '../../engine/architectures/createModel';
import type { Graph } from '../../engine/graph/graph';
import { elementCount } from '../../engine/graph/tensor';
import { parametersOf } from '../../engine/ops/parameters';
import { openData, trainingSource } from '../../engine/server/operations/data';
import { runtime } from '../../engine/server/operations/runtime';
import { parseSchedule } from '../../engine/training/schedule';
import { train } from '../../engine/training/train';
import { ResultsFile, spread } from './resultsFile';

interface Result {
  readonly data: string;
  readonly run: string;
  readonly seed: number;
  readonly epochs: number;
  readonly batch: number;
  readonly parameters: number;
  /** Of the input-to-hidden matrix. */
  readonly inputParameters: number;
  readonly loss: number;
  /** On the test split after the last epoch; no epoch is selected by it. */
  readonly accuracy: number;
  readonly accuracies: readonly number[];
  readonly stepMs: number;
}

const { values: args, positionals: runs } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    mean: { type: 'string' },
    std: { type: 'string' },
    seeds: { type: 'string', default: '1,2,3,4,5' },
    epochs: { type: 'string', default: '15' },
    batch: { type: 'string', default: '16' },
    hidden: { type: 'string', default: '64' },
    threads: { type: 'string', default: '1' },
    results: { type: 'string', default: 'sequence-comparison.jsonl' },
  },
});
const list = (text: string, separator = ','): number[] => text.split(separator).map(Number);
const [epochs, batch] = [Number(args.epochs), Number(args.batch)];

/** `bt-lstm:lr=0.003,rank=4` as architecture and settings. */
function parseRun(run: string): { architecture: string; setting: (name: string, otherwise: number) => number; text: Map<string, string> } {
  const [architecture = '', settings = ''] = run.split(':');
  const text = new Map(settings.split(',').map((pair): [string, string] => [pair.split('=')[0] ?? '', pair.split('=')[1] ?? '']));
  return { architecture, text, setting: (name, otherwise) => Number(text.get(name) ?? otherwise) };
}

const inputWeights = (graph: Graph): number =>
  parametersOf(graph)
    .filter((name) => /^(lstm|gru|rnn)\.(W|core|factor)/.test(name))
    .reduce((n, name) => n + elementCount(graph.initializers.get(name)?.dims ?? []), 0);

async function measure(data: string, run: string, seed: number): Promise<Result> {
  const { architecture, setting, text } = parseRun(run);
  const scaling = { mean: args.mean ? list(args.mean) : undefined, std: args.std ? list(args.std) : undefined };
  const options = { data, ...scaling, threads: Number(args.threads) };
  const opened = await openData(options);
  const modes = (name: string): number[] | undefined => (text.has(name) ? list(text.get(name) ?? '', '.') : undefined);
  const graph = createModel(architecture, {
    input: opened.sampleShape,
    classes: opened.classes.length,
    hidden: setting('hidden', Number(args.hidden)),
    lengths: opened.train.lengths !== undefined,
    inputModes: modes('in'),
    outputModes: modes('out'),
    rank: setting('rank', 4),
    blocks: setting('blocks', 2),
    gain: setting('gain', 1),
    dropout: setting('dropout', 0),
    seed,
  });
  const weightDecay = setting('decay', 0);
  const source = trainingSource(opened, options, { batch, seed });
  const trained = await train(runtime(), graph, source, {
    epochs,
    batch,
    seed,
    threads: options.threads,
    optimiser: { kind: weightDecay > 0 ? 'adamw' : 'adam', weightDecay },
    schedule: { kind: parseSchedule(text.get('schedule') ?? 'cosine'), rate: setting('lr', 0.001) },
    onEpoch: ({ epoch, loss, accuracy }) => console.error(`${run} seed ${seed} epoch ${epoch}: ${loss.toFixed(4)} ${accuracy.toFixed(4)}`),
  });
  const last = trained.epochs.at(-1);
  return {
    data: path.basename(data),
    run,
    seed,
    epochs,
    batch,
    parameters: parametersOf(graph).reduce((n, name) => n + elementCount(graph.initializers.get(name)?.dims ?? []), 0),
    inputParameters: inputWeights(graph),
    loss: last?.loss ?? NaN,
    accuracy: last?.accuracy ?? NaN,
    accuracies: trained.epochs.map((e) => e.accuracy),
    stepMs: (1000 * Math.min(...trained.epochs.map((e) => e.seconds))) / source.stepsPerEpoch,
  };
}

function printTables(results: readonly Result[]): void {
  for (const [title, rows] of group(results, (r) => `${r.data}, ${r.epochs} epochs, batch ${r.batch}`)) {
    console.log(`\n${title} (accuracy in %, mean ± deviation over seeds)\n`);
    console.log('| network | seeds | test | training loss | input-to-hidden | all parameters | step ms |\n|---|---|---|---|---|---|---|');
    for (const [run, same] of group(rows, (r) => r.run)) {
      const first = same[0] as Result;
      const loss = same.reduce((sum, r) => sum + r.loss, 0) / same.length;
      const step = Math.min(...same.map((r) => r.stepMs));
      console.log(
        `| ${run} | ${same.length} | ${spread(same.map((r) => r.accuracy))} | ${loss.toFixed(3)} | ${first.inputParameters} | ${first.parameters} | ${step.toFixed(1)} |`,
      );
    }
  }
}

async function main(): Promise<void> {
  const results = new ResultsFile<Result>(args.results);
  for (const seed of args.data ? list(args.seeds) : [])
    for (const run of runs) {
      const data = path.basename(args.data ?? '');
      await results.once({ data, run, seed, epochs, batch }, () => measure(args.data ?? '', run, seed));
    }
  printTables(results.read());
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

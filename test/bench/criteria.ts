/**
 * Tick-Tock against cutting once by L1 norm or at random, at the same budget, over seeds: with the same fine-tuning (the paper's
 * protocol, in which Ticks and Tocks are part of the method), and with as many training steps in all, those of Ticks included.
 * npx tsx test/bench/criteria.ts FOLDER [DATA] [SEEDS, such as 1,2,3] [FRACTION OF MACS]; results in FOLDER are not computed again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Criterion } from '../../engine/contract/models';
import { findChannelGroups } from '../../engine/pruning/channelGroups';
import { createModelFile } from '../../engine/server/operations/create';
import { evaluateModel } from '../../engine/server/operations/evaluate';
import { loadModel } from '../../engine/server/operations/loadModel';
import { pruneModel } from '../../engine/server/operations/prune';
import { tickTockModel } from '../../engine/server/operations/tickTock';
import { trainModel } from '../../engine/server/operations/train';

const [folder, where = 'generated:shapes?classes=10&size=12&seed=1&count=15000', seeds = '1,2,3', fraction = '0.25'] =
  process.argv.slice(2);
const DATA = { data: where, limit: 5000, threads: 1 };
const FLOPS = Number(fraction);
const BATCH = 128;
const FINETUNE = 4;
const RATE = 0.03;
/** For runs in which each step of a Tick is one less of tuning: few short Ticks that cost counts in, no Tocks, no group cut to a thread. */
const SHORT = { perCost: true, filtersPerTick: 0.1, tickData: 0.1, initialTock: false, ticksPerTock: 1000, minimumKept: 0.4 };

interface Result {
  /** % of all test images that are correct. */
  readonly accuracy: number;
  /** Elements of all weights and running statistics. */
  readonly weights: number;
  /** Channels by group, with the number of its layers. */
  readonly widths: string;
  /** Training steps from the unpruned network on, counted in epochs. */
  readonly epochs: number;
}

class Comparison {
  private readonly results: Record<string, Result>;
  private readonly file: string;

  constructor(
    private readonly folder: string,
    private readonly seed: number,
  ) {
    this.file = path.join(folder, `results-${seed}.json`);
    this.results = existsSync(this.file) ? (JSON.parse(readFileSync(this.file, 'utf8')) as Record<string, Result>) : {};
  }

  async run(): Promise<void> {
    await this.once('unpruned', () => this.base());
    const plain = await this.once('tick-tock', () => this.tickTock('tick-tock', {}));
    const perCost = await this.once('tick-tock per MAC', () => this.tickTock('tick-tock per MAC', { perCost: true }));
    await this.once('tick-tock without Tocks', () => this.tickTock('tick-tock without Tocks', { initialTock: false, ticksPerTock: 1000 }));
    const all = Math.ceil(Math.max(plain.epochs, perCost.epochs));
    await this.once('tick-tock of short Ticks', () => this.tickTock('tick-tock of short Ticks', SHORT));
    await this.once('tick-tock of short Ticks, equal steps', () => this.ticksThenTuning('tick-tock of short Ticks, equal steps', all));
    for (const criterion of ['l1', 'random'] as const) {
      await this.once(`${criterion}, equal fine-tuning`, () => this.oneShot(`${criterion}, equal fine-tuning`, { criterion }, FINETUNE));
      await this.once(`${criterion}, equal steps`, () => this.oneShot(`${criterion}, equal steps`, { criterion }, all));
    }
    for (const perCost of [false, true]) {
      const name = `gate-taylor${perCost ? ' per MAC' : ''}, equal fine-tuning`;
      await this.once(name, () => this.oneShot(name, { criterion: 'gate-taylor', perCost }, FINETUNE));
    }
  }

  private at(name: string): string {
    return path.join(this.folder, `${name.replaceAll(/[ ,]+/g, '-')}-${this.seed}.onnx`);
  }

  private async once(name: string, work: () => Promise<number>): Promise<Result> {
    this.results[name] ??= { ...(await this.describe(name, await work())) };
    writeFileSync(this.file, JSON.stringify(this.results, null, 1));
    const { accuracy, weights, widths, epochs } = this.results[name];
    console.log(
      `seed ${this.seed}, ${name}: ${accuracy.toFixed(2)} %, ${weights} weights, ${epochs.toFixed(1)} epochs, channels ${widths}`,
    );
    return this.results[name];
  }

  private async describe(name: string, epochs: number): Promise<Result> {
    const { accuracy } = await evaluateModel(this.at(name), { data: where, threads: 1 });
    const { graph } = await loadModel(this.at(name));
    const { groups } = findChannelGroups(graph);
    const weights = [...graph.initializers.values()].reduce((n, t) => n + t.data.length, 0);
    return { accuracy: 100 * accuracy, weights, widths: groups.map((g) => `${g.channels.length}x${g.layers.length}`).join(' '), epochs };
  }

  private async base(): Promise<number> {
    const fresh = this.at('fresh');
    await createModelFile('resnet8', fresh, { input: [3, 12, 12], classes: 10, shortcut: 'conv', seed: this.seed });
    await trainModel(fresh, { ...DATA, epochs: 20, batch: BATCH, learningRate: 0.1, seed: this.seed, output: this.at('unpruned') });
    return 0;
  }

  private async tickTock(name: string, change: Record<string, boolean | number>): Promise<number> {
    const config = {
      ...{ filtersPerTick: 0.05, tickData: 0.2, ticksPerTock: 4, tockEpochs: 1, highRate: RATE, testSamples: 100 },
      ...{ finetuneEpochs: FINETUNE, finetuneHighRate: RATE, finalEpochs: 0, batch: BATCH, augment: false, seed: this.seed },
      ...change,
    };
    const { history } = await tickTockModel(this.at('unpruned'), { ...DATA, flops: FLOPS, config, output: this.at(name) });
    const ticks = history.filter((p) => p.phase === 'tick').length;
    return history.length - ticks + config.tickData * ticks;
  }

  /** Short Ticks, then as much tuning as is left of `epochs`. */
  private async ticksThenTuning(name: string, epochs: number): Promise<number> {
    const used = await this.tickTock(`${name} cut`, { ...SHORT, finetuneEpochs: 0 });
    const left = Math.floor(epochs - used);
    await this.tune(`${name} cut`, name, left);
    return used + left;
  }

  private async oneShot(name: string, ranking: { criterion: Criterion; perCost?: boolean }, epochs: number): Promise<number> {
    await pruneModel(this.at('unpruned'), { ...DATA, ...ranking, flops: FLOPS, seed: this.seed, output: this.at(`${name} cut`) });
    await this.tune(`${name} cut`, name, epochs);
    return epochs;
  }

  private async tune(from: string, to: string, epochs: number): Promise<void> {
    const tuning = { epochs, batch: BATCH, learningRate: RATE, schedule: 'triangular', seed: this.seed } as const;
    await trainModel(this.at(from), { ...DATA, ...tuning, output: this.at(to) });
  }
}

async function main(): Promise<void> {
  if (!folder) throw new Error('Name a folder for the results');
  mkdirSync(folder, { recursive: true });
  for (const seed of seeds.split(',').map(Number)) await new Comparison(folder, seed).run();
}

void main();

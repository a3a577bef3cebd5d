import type { AttackResult, RobustnessReport } from '../contract/robustness';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { Random } from '../graph/random';
import type { MemoryOptions, Runtime } from '../runtime/runtime';
import type { Batch } from '../training/evaluate';
import { type AttackSettings, type Judgement, attackBatch } from './attack';
import { maskedGradients } from './maskedGradients';
import type { PixelSpace } from './pixelSpace';
import { VictimNetwork } from './victimNetwork';

export interface RobustnessOptions {
  readonly batch: number;
  readonly seed: number;
  readonly threads?: number;
  readonly memory?: MemoryOptions;
  readonly signal?: AbortSignal;
  onBatch?(done: number): void;
}

/** Loss and accuracy without an attack and under each; the same samples and starts for all. */
export async function evaluateRobustness(
  runtime: Runtime,
  network: Graph,
  batches: AsyncIterable<Batch>,
  space: PixelSpace,
  attacks: readonly AttackSettings[],
  options: RobustnessOptions,
): Promise<RobustnessReport> {
  const victims = await VictimNetwork.create(runtime, network, space, options);
  const clean = new Tally();
  const tallies = attacks.map((settings) => ({ settings, tally: new Tally(), random: new Random(options.seed) }));
  try {
    for await (const batch of batches) {
      const victim = victims.facing(batch);
      const values = space.fromNetwork(batch.x.data as Float32Array);
      clean.add(await victim.judge(values));
      for (const { settings, tally, random } of tallies) tally.add(await attackBatch(victim, values, space, settings, random));
      options.onBatch?.(clean.count);
    }
  } finally {
    victims.dispose();
  }
  if (clean.count === 0) throw new SurgeryError('data-malformed', 'The data has no samples to evaluate');
  const results = tallies.map(({ settings: { attack, norm, epsilon }, tally }): AttackResult => ({
    attack,
    norm,
    epsilon,
    ...tally.means,
  }));
  return { count: clean.count, ...clean.means, attacks: results, warnings: maskedGradients(clean.means.accuracy, results) };
}

class Tally {
  count = 0;
  private loss = 0;
  private correct = 0;

  add({ loss, correct }: Judgement): void {
    this.count += loss.length;
    this.loss += loss.reduce((a, b) => a + b, 0);
    this.correct += correct.reduce((a, b) => a + b, 0);
  }

  get means(): { loss: number; accuracy: number } {
    return { loss: this.loss / this.count, accuracy: this.correct / this.count };
  }
}

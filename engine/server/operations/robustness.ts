import type { AttackOptions, RobustnessReport } from '../../contract/robustness';
import type { Dataset } from '../../datasets/dataset';
import type { AttackSettings } from '../../robustness/attack';
import { evaluateRobustness } from '../../robustness/evaluateRobustness';
import { PixelSpace } from '../../robustness/pixelSpace';
import { type DataFlags, openData, testBatches } from './data';
import type { EvaluateFlags } from './evaluate';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

const STEPS = 10;

/** Loss and accuracy on the test split without an attack and under attacks. */
export async function evaluateUnderAttack(
  file: string,
  options: EvaluateFlags & AttackOptions,
  context: OperationContext = {},
): Promise<RobustnessReport> {
  const { graph } = await loadModel(file, options.plan);
  const data = await openData(options);
  data.notes.forEach((note) => context.log?.(note));
  const range = options.range ?? imageRange(data, options);
  if (!range) context.log?.('The data has no known range (--range): perturbed values are not clipped');
  const batch = options.batch ?? 250;
  const { count, batches } = testBatches(data, options, batch);
  return evaluateRobustness(runtime(), graph, batches, pixelSpace(data, options, range), settingsOf(options), {
    batch,
    seed: options.seed ?? 1,
    threads: options.threads,
    memory: options.memoryBudget === undefined ? undefined : { budget: options.memoryBudget },
    signal: context.signal,
    onBatch: (done) => context.progress?.(done, count, 'samples'),
  });
}

/** Every attack at every radius; next to attacks along the gradient, fgsm and random noise as controls. */
function settingsOf({ attacks, epsilons, norm = 'linf', steps = STEPS, stepSize, restarts = 1 }: AttackOptions): AttackSettings[] {
  const alone = attacks.every((attack) => attack === 'random');
  const all = alone ? attacks : [...new Set([...attacks, 'fgsm' as const, 'random' as const])];
  return all.flatMap((attack) => epsilons.map((epsilon) => ({ attack, norm, epsilon, steps, stepSize, restarts })));
}

const imageRange = ({ element }: Dataset, { raw }: DataFlags): readonly [number, number] | undefined =>
  element === 'uint8' ? [0, raw ? 255 : 1] : undefined;

const pixelSpace = (data: Dataset, { mean = [0], std = [1] }: DataFlags, range: readonly [number, number] | undefined): PixelSpace =>
  new PixelSpace({ mean, std, sampleShape: data.sampleShape, channelAxis: data.layout === 'CHW' ? 'first' : 'last', range });

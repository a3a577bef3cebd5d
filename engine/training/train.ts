import type { Distillation } from '../autodiff/loss';
import type { Optimiser } from '../autodiff/optimiser';
import type { Perturbation } from '../autodiff/perturbation';
import type { PoolTrace } from '../contract/memory';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import type { Layout } from '../runtime/layout';
import type { MemoryOptions, Runtime } from '../runtime/runtime';
import { type Batch, evaluate } from './evaluate';
import { type ScheduleOptions, learningRate } from './schedule';
import { Teacher } from './teacher';
import { type StepResult, Trainer, type TrainerState } from './trainer';

/** Where batches come from; each is used up before the next is asked for. */
export interface BatchSource {
  readonly stepsPerEpoch: number;
  /** Full batches of one epoch, in an order that depends on the seed and the epoch only. */
  train(epoch: number): AsyncIterable<Batch>;
  /** The samples held out for testing; undefined when there are none. */
  test?(): AsyncIterable<Batch>;
}

export interface TrainOptions {
  readonly epochs: number;
  readonly batch: number;
  readonly optimiser: Optimiser;
  readonly schedule: ScheduleOptions;
  readonly seed?: number;
  readonly parameters?: readonly string[];
  readonly l1?: ReadonlyMap<string, number>;
  readonly perturbation?: Perturbation;
  /** A trained classifier whose outputs are learnt beside the labels. */
  readonly distillation?: Distillation & { readonly teacher: Graph };
  /** Batches whose mean gradient makes one update. */
  readonly accumulate?: number;
  /** Parameters whose |dL/dp * p| the trainer sums (`Trainer.saliency`). */
  readonly saliency?: readonly string[];
  readonly threads?: number;
  readonly device?: string;
  readonly layout?: Layout;
  /** Trains, and evaluates, within a pool of planned memory. */
  readonly memory?: MemoryOptions;
  /** Takes the trained weights out of the network that is given, so that they are not held twice. */
  readonly consume?: boolean;
  readonly signal?: AbortSignal;
  /** Goes on from the end of an epoch. */
  readonly resume?: { readonly epoch: number; readonly state: TrainerState };
  /** Told what the pool of planned memory holds while a step runs. */
  readonly onPool?: (step: number, trace: PoolTrace) => void;
  onStep?(step: number, total: number, result: StepResult): void;
  onEpoch?(result: EpochResult, trainer: Trainer): void | Promise<void>;
}

export interface EpochResult {
  /** From 1. */
  readonly epoch: number;
  /** Mean training loss, and accuracy on the training batches as they were seen. */
  readonly loss: number;
  readonly trainAccuracy: number;
  /** Accuracy on the test split, or on the training batches when there is none. */
  readonly accuracy: number;
  readonly testLoss?: number;
  readonly seconds: number;
  /** Mean over the steps of what the perturbation reports, by layer. */
  readonly noise?: Readonly<Record<string, number>>;
}

/** Trains a copy of the network; the one given does not change, unless it is to be consumed. */
export async function train(
  runtime: Runtime,
  network: Graph,
  source: BatchSource,
  options: TrainOptions,
): Promise<{ network: Graph; epochs: EpochResult[] }> {
  if (source.stepsPerEpoch === 0) throw new SurgeryError('option-invalid', `--batch ${options.batch} is more than the data has`);
  const { distillation, memory } = options;
  const trainer = await Trainer.create(runtime, network, options);
  let teacher: Teacher | undefined;
  try {
    teacher = distillation && (await Teacher.create(runtime, distillation.teacher, { ...options, lowMemory: memory !== undefined }));
    if (options.resume) trainer.importState(options.resume.state);
    const epochs: EpochResult[] = [];
    for (let epoch = options.resume?.epoch ?? 0; epoch < options.epochs; epoch++) {
      const result = await runEpoch(runtime, { trainer, teacher }, source, options, epoch);
      epochs.push(result);
      await options.onEpoch?.(result, trainer);
    }
    return { network: trainer.weights(), epochs };
  } finally {
    trainer.dispose();
    teacher?.dispose();
  }
}

async function runEpoch(
  runtime: Runtime,
  { trainer, teacher: taught }: { readonly trainer: Trainer; readonly teacher: Teacher | undefined },
  source: BatchSource,
  options: TrainOptions,
  epoch: number,
): Promise<EpochResult> {
  const start = performance.now();
  const total = source.stepsPerEpoch * options.epochs;
  const sums = { loss: 0, correct: 0, steps: 0, noise: new Map<string, number>() };
  const { signal } = options;
  for await (const batch of source.train(epoch)) {
    const { x, y, lengths } = batch;
    const step = epoch * source.stepsPerEpoch + sums.steps;
    const teacher = await taught?.logits(batch, signal);
    const result = await trainer.step(x, y, learningRate(options.schedule, step, total), { signal, lengths, teacher });
    sums.loss += result.loss;
    sums.correct += result.correct;
    sums.steps++;
    for (const [layer, value] of result.reports) sums.noise.set(layer, (sums.noise.get(layer) ?? 0) + value);
    options.onStep?.(step + 1, total, result);
  }
  await trainer.sync();
  const seconds = (performance.now() - start) / 1000;
  const trainAccuracy = sums.correct / (sums.steps * options.batch);
  const test = source.test
    ? await evaluate(runtime, trainer.weights(), source.test(), { ...options, memory: trainer.spareMemory })
    : undefined;
  return {
    epoch: epoch + 1,
    loss: sums.loss / sums.steps,
    trainAccuracy,
    accuracy: test?.accuracy ?? trainAccuracy,
    ...(test ? { testLoss: test.loss } : {}),
    seconds,
    ...(sums.noise.size > 0 ? { noise: Object.fromEntries([...sums.noise].map(([layer, sum]) => [layer, sum / sums.steps])) } : {}),
  };
}

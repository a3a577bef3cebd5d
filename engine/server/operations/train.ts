import type { EpochResult } from '../../training/train';
import type { Optimiser } from '../../autodiff/optimiser';
import type { PoolTrace, TrainingMemory } from '../../contract/memory';
import type { TrainOptions } from '../../contract/protocol';
import { readNpz, writeNpz } from '../../formats/npy/npz';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { SurgeryError } from '../../graph/errors';
import { float32 } from '../../graph/tensor';
import type { MemoryOptions } from '../../runtime/runtime';
import type { StepResult, TrainerState } from '../../training/trainer';
import { TrainingMeter } from './trainingMeter';
import { train } from '../../training/train';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type DataFlags, openData, trainingSource } from './data';
import { loadModel } from './loadModel';
import { perturbationFor } from './noise';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export interface TrainFlags extends Omit<TrainOptions, 'limit'>, DataFlags {
  readonly output: string;
  readonly threads?: number;
  /** Go on from the checkpoint of an interrupted run with the same output. */
  readonly resume?: boolean;
}

/** `onStep` takes the place of `progress`. */
interface TrainContext extends OperationContext {
  onEpoch?(result: EpochResult): void;
  onStep?(step: number, total: number, result: StepResult): void;
  onPool?(step: number, trace: PoolTrace): void;
}

export interface TrainResult {
  readonly epochs: EpochResult[];
  readonly memory?: TrainingMemory;
}

/** Trains a file and writes the result; a checkpoint beside the output after every epoch lets an interrupted run go on. */
export async function trainModel(file: string, options: TrainFlags, context: TrainContext = {}): Promise<TrainResult> {
  const { graph } = await loadModel(file);
  const data = await openData(options);
  data.notes.forEach((note) => context.log?.(note));
  const { batch = 128, seed = 1, learningRate = 0.05, schedule = 'cosine', epochs } = options;
  const checkpoint = `${options.output}.checkpoint.npz`;
  const resume = options.resume ? readCheckpoint(checkpoint) : undefined;
  const meter = new TrainingMeter();
  const result = await train(runtime(), graph, trainingSource(data, options, { batch, seed, augment: options.augment }), {
    epochs,
    batch,
    seed,
    optimiser: optimiserOf(options),
    schedule: { kind: schedule, rate: learningRate },
    perturbation: perturbationFor(graph, options.noise, data, options),
    distillation: await distillationOf(options),
    threads: options.threads,
    layout: options.layout,
    memory: memoryOptions(options),
    accumulate: options.accumulate,
    consume: true,
    signal: context.signal,
    resume,
    onStep(step, total, result) {
      meter.add(result);
      if (context.onStep) context.onStep(step, total, result);
      else context.progress?.(step, total, 'steps', `loss ${result.loss.toFixed(3)}`);
    },
    onPool: context.onPool && ((step, trace) => context.onPool?.(step, trace)),
    onEpoch(epoch, trainer) {
      context.onEpoch?.(epoch);
      context.log?.(
        `epoch ${epoch.epoch}: loss ${epoch.loss.toFixed(4)}, accuracy ${(100 * epoch.accuracy).toFixed(2)} %, ${epoch.seconds.toFixed(1)} s`,
      );
      if (epoch.epoch < epochs) writeCheckpoint(checkpoint, epoch.epoch, trainer.exportState());
    },
  });
  await writeOnnx(result.network, options.output);
  await rm(checkpoint, { force: true });
  const { memory } = meter;
  return { epochs: result.epochs, ...(memory ? { memory } : {}) };
}

async function distillationOf({ distillation }: TrainFlags) {
  if (!distillation) return undefined;
  const { teacher, weight = 0.5, temperature = 4 } = distillation;
  if (!(weight > 0 && weight <= 1)) throw new SurgeryError('option-invalid', `--teacher-weight ${weight} must be above 0 and at most 1`);
  if (!(temperature > 0)) throw new SurgeryError('option-invalid', `--teacher-temperature ${temperature} must be above 0`);
  return { teacher: (await loadModel(teacher)).graph, weight, temperature };
}

function memoryOptions({ memoryBudget, memoryPolicy, workspace }: TrainFlags): MemoryOptions | undefined {
  if (workspace === 'dynamic' && memoryBudget === undefined)
    throw new SurgeryError('option-invalid', '--workspace dynamic chooses by the bytes that a budget leaves; give --memory-budget');
  if (memoryBudget === undefined && memoryPolicy === undefined) return undefined;
  return { budget: memoryBudget, policy: memoryPolicy, workspace };
}

function optimiserOf({ optimiser = 'sgd', momentum = 0.9, nesterov, weightDecay = 5e-4 }: TrainFlags): Optimiser {
  return optimiser === 'sgd' ? { kind: 'sgd', momentum, nesterov, weightDecay } : { kind: optimiser, weightDecay };
}

const POSITION = 'checkpoint/position';

const writeCheckpoint = (file: string, epoch: number, state: TrainerState): void =>
  writeNpz(file, new Map([...state.tensors, [POSITION, float32([2], [epoch, state.step])]]));

function readCheckpoint(file: string): { epoch: number; state: TrainerState } {
  if (!existsSync(file)) throw new SurgeryError('option-invalid', `--resume: there is no checkpoint ${file}`);
  const tensors = readNpz(file);
  const position = tensors.get(POSITION)?.data as Float32Array | undefined;
  if (!position) throw new SurgeryError('file-malformed', `${file} is not a checkpoint of scalpel`);
  return { epoch: position[0] ?? 0, state: { step: position[1] ?? 0, tensors } };
}

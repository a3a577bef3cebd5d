import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { TickTockOptions, TickTockPoint, TickTockResult, TickTockSettings } from '../../contract/tickTock';
import { firstOf } from '../../datasets/dataset';
import { readNpz, writeNpz } from '../../formats/npy/npz';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { SurgeryError } from '../../graph/errors';
import { findChannelGroups } from '../../pruning/channelGroups';
import { keptIndices } from '../../pruning/keptIndices';
import { tickTock } from '../../pruning/tickTock';
import { type TickTockConfig, describeTickTockConfig, parseTickTockConfig } from '../../pruning/tickTockConfig';
import { packState, unpackState } from '../../pruning/tickTockState';
import { emptyPlan, pruneOperation, withOperation, writePlan } from '../../surgery/plan';
import { type DataFlags, openData, trainingSource } from './data';
import { loadModel } from './loadModel';
import { measureChange, measureLatencies } from './measure';
import { perturbationFor } from './noise';
import type { OperationContext } from './operation';
import { lockedGroups } from './prune';
import { resolveRoundTo } from './roundTo';
import { runtime } from './runtime';
import { exportWeights } from './stateDict';

export type TickTockFlags = Omit<TickTockOptions, 'limit'> & DataFlags;

export interface TickTockContext extends OperationContext {
  /** Ends the run and keeps the network of the last complete Tick. */
  readonly stop?: AbortSignal;
  onPoint?(point: TickTockPoint): void;
}

/** Runs Gate Decorator's schedule on a file. A checkpoint beside the output lets an interrupted run go on bit for bit. */
export async function tickTockModel(file: string, options: TickTockFlags, context: TickTockContext = {}): Promise<TickTockResult> {
  const config = parseTickTockConfig(JSON.stringify(options.config ?? {}), 'the configuration');
  const model = await loadModel(file);
  const teacher = options.teacher === undefined ? undefined : await loadModel(options.teacher);
  if (teacher && config.teacherWeight === 0)
    throw new SurgeryError('option-invalid', '--teacher needs a teacherWeight above 0 in the settings (--config)');
  const network = findChannelGroups(model.graph);
  const locked = lockedGroups(network.groups, options.locked ?? []);
  const data = await openData(options);
  data.notes.forEach((note) => context.log?.(note));
  const test = config.testSamples > 0 ? firstOf(data.test, config.testSamples) : data.test;
  const augment = config.augment && data.layout === 'CHW';
  const source = trainingSource({ ...data, test }, options, { batch: config.batch, seed: config.seed, augment });
  if (source.stepsPerEpoch === 0) throw new SurgeryError('option-invalid', `batch ${config.batch} is more than the data has`);
  const checkpoint = `${options.output}.checkpoint.npz`;
  const key = runKey([model.hash, teacher?.hash], options, config);
  if (options.resume && !existsSync(checkpoint)) throw new SurgeryError('option-invalid', `--resume: there is no checkpoint ${checkpoint}`);
  if (options.snapshots) await mkdir(options.snapshots, { recursive: true });
  const latencyOf = async (graph: typeof model.graph): Promise<number> =>
    (await measureLatencies([graph], options.threads))[0]?.median ?? NaN;
  const result = await tickTock({
    runtime: runtime(),
    network: model.graph,
    teacher: teacher?.graph,
    source,
    config,
    budget: options,
    locked,
    roundTo: await resolveRoundTo(options.roundTo, context),
    perturbation: (graph) => perturbationFor(graph, options.noise, data, options),
    threads: options.threads,
    signal: context.signal,
    stop: context.stop,
    latency: latencyOf,
    ...(options.resume ? { resume: (start) => unpackState(readNpz(checkpoint), key, start, checkpoint) } : {}),
    save: (state) => writeNpz(checkpoint, packState(state, key)),
    async onPoint(point, graph) {
      const snapshot = options.snapshots && path.join(options.snapshots, snapshotName(point));
      if (snapshot) await writeOnnx(graph(), snapshot);
      const told = snapshot ? { ...point, snapshot } : point;
      context.log?.(describePoint(told));
      context.onPoint?.(told);
      return told;
    },
    onProgress: (done, total, message) => context.progress?.(done, total, 'steps', message),
  });
  const measured = await measureChange(model.graph, result.network, options, context);
  const operation = pruneOperation(network, result.kept, 'gate-taylor', 'prune-1');
  const plan = withOperation(emptyPlan(path.resolve(file), model.hash), operation);
  await writeOnnx(result.network, options.output);
  if (options.planFile) await writePlan(plan, options.planFile);
  if (options.weights) exportWeights(options.weights, result.network, keptIndices([{ network, selection: result.kept }]), context);
  await rm(checkpoint, { force: true });
  return {
    ...measured,
    maskedDifference: result.maskedDifference,
    history: result.history,
    plan,
    ...(result.stopped ? { stopped: true } : {}),
  };
}

/** What a checkpoint must have been made with. */
function runKey(hashes: readonly (string | undefined)[], options: TickTockFlags, config: TickTockConfig): string {
  const { data, mean, std, raw, limit, flops, params, filters, latency, locked, roundTo, noise } = options;
  const stated = JSON.stringify([hashes, data, mean, std, raw, limit, flops, params, filters, latency, locked, roundTo, noise, config]);
  return createHash('sha256').update(stated).digest('hex');
}

/** Settings of a file (the paper's without one), and the paper's as a commented file. */
export async function readTickTockSettings(file?: string): Promise<{ settings: TickTockSettings; text: string }> {
  const text = describeTickTockConfig();
  if (file === undefined) return { settings: { ...parseTickTockConfig(text, 'the defaults') }, text };
  const stated = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new SurgeryError('file-not-found', `${file} cannot be read: ${String(error)}`);
  });
  return { settings: { ...parseTickTockConfig(stated, file) }, text };
}

/** Every point has a file of its own, in the order of the run. */
const snapshotName = ({ phase, ticks, passes }: TickTockPoint): string =>
  `pass-${String(passes).padStart(4, '0')}-${phase}-${String(ticks).padStart(4, '0')}.onnx`;

const describePoint = (point: TickTockPoint): string =>
  `${point.phase} ${point.ticks}: ${point.filters} filters, ${(point.macs / 1e6).toFixed(2)} M MACs, loss ${point.loss.toFixed(4)}, accuracy ${(100 * point.accuracy).toFixed(2)} %`;

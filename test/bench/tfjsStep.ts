import { createRequire } from 'node:module';
import type { TfjsModule } from '../../engine/ops/opRecord';
import { findChannelGroups } from '../../engine/pruning/channelGroups';
import { SelectionCost } from '../../engine/pruning/selectionCost';
import { TfjsRuntime } from '../../engine/runtime/tfjs/tfjsRuntime';
import { Trainer } from '../../engine/training/trainer';
import { type BenchCase, batchOf, networkOf } from './benchCase';

export type TfjsBackend = 'cpu' | 'wasm';

/** Multiply-accumulates of a training step that a backend is given; larger cases run a part of their batch. */
const MOST_MACS: Readonly<Record<TfjsBackend, number>> = { cpu: 1e9, wasm: 1.3e10 };
/** A step's share of the forward pass. */
const STEP = 3;

/**
 * One training step of the second runtime on a backend of tfjs, on as many samples as take some seconds.
 * @returns milliseconds of processor time (both backends compute with one thread) scaled to the whole batch, and the samples that were run; undefined where one sample takes too long
 */
export async function tfjsStep(item: BenchCase, backend: TfjsBackend): Promise<{ ms: number; samples: number } | undefined> {
  const graph = networkOf(item);
  const { macs } = new SelectionCost(findChannelGroups(graph)).of();
  const samples = Math.min(item.batch, Math.floor(MOST_MACS[backend] / (STEP * macs)));
  if (samples < 1) return undefined;
  const runtime = new TfjsRuntime(await backendOf(backend), { package: backend, version: '', hardware: '' });
  const trainer = await Trainer.create(runtime, graph, { batch: samples, optimiser: { kind: 'sgd', momentum: 0.9 } });
  const { x, y } = batchOf(samples, item.input);
  if (backend === 'wasm') await trainer.step(x, y, 1e-3);
  const start = process.cpuUsage();
  await trainer.step(x, y, 1e-3);
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  trainer.dispose();
  return { ms: (ms * item.batch) / samples, samples };
}

/** Makes a backend the active one. */
async function backendOf(backend: TfjsBackend): Promise<TfjsModule> {
  const own = createRequire(__filename);
  const name = `@tensorflow/tfjs-backend-${backend}`;
  const beside = createRequire(own.resolve(name));
  const tf = beside('@tensorflow/tfjs-core') as TfjsModule;
  own(name);
  tf.enableProdMode();
  await tf.setBackend(backend);
  return tf;
}

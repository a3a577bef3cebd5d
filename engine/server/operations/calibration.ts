import os from 'node:os';
import { version } from '../../../package.json';
import { createModel } from '../../architectures/createModel';
import type { DeviceChoice } from '../../contract/devices';
import { Random } from '../../graph/random';
import { float32, int64 } from '../../graph/tensor';
import { CacheFile } from '../../runtime/cacheFile';
import { openRuntime } from '../../runtime/onnxruntime/openRuntime';
import type { Runtime } from '../../runtime/runtime';
import { type TensorFlowInstallation, findTensorFlow, isNative } from '../../runtime/tfjs/findTensorFlow';
import { openTensorFlow } from '../../runtime/tfjs/tfjsRuntime';
import { Trainer } from '../../training/trainer';
import { probeWebGpu } from './probeDevice';

export interface Calibration {
  readonly id: DeviceChoice;
  readonly summary: string;
  /** Milliseconds of a training step by device. */
  readonly times: Readonly<Record<string, number>>;
}

const cache = new CacheFile<Calibration>('device.json');

const STEPS = 3;
const BATCH = 16;
/** A device whose first step takes longer is not measured further. */
const PATIENCE_MS = 10_000;

/** The fastest device by a few training steps of a small ResNet, from the cache where nothing has changed. */
export async function calibrated(again = false): Promise<Calibration> {
  const known = again ? undefined : knownCalibration();
  if (known) return known;
  const times = await measure(again ? findTensorFlow() : findTensorFlow().filter(isNative));
  const [id] = Object.entries(times).reduce((a, b) => (b[1] < a[1] ? b : a));
  const list = Object.entries(times).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`);
  const summary = `--device auto uses ${id}: ${list.join(', ')} for a training step of ResNet-8, batch ${BATCH} (measured once, kept in ${cache.path})`;
  return keepCalibration({ id: id as DeviceChoice, times, summary });
}

/** What was measured before, if that still holds here. */
export function knownCalibration(): Calibration | undefined {
  return cache.read(presentKey());
}

const presentKey = (): string =>
  JSON.stringify([version, os.cpus()[0]?.model, os.cpus().length, findTensorFlow(), process.env.VK_ICD_FILENAMES ?? '']);

async function measure(installations: readonly TensorFlowInstallation[]): Promise<Record<string, number>> {
  const times: Record<string, number> = { cpu: await stepTime(openRuntime(), 'cpu') };
  const attempts: [string, () => Promise<number>][] = [
    ['webgpu', () => probeWebGpu().then(() => stepTime(openRuntime(), 'webgpu'))],
    ['tensorflow', async () => stepTime(await openTensorFlow(installations))],
  ];
  for (const [id, attempt] of attempts)
    try {
      times[id] = await attempt();
    } catch {
      // A device that does not work here takes no part; `devices` says why.
    }
  return times;
}

/** Median of a few steps after the first, which compiles. */
async function stepTime(runtime: Runtime, device?: string): Promise<number> {
  const network = createModel('resnet8', { input: [3, 32, 32], classes: 10, seed: 1 });
  const trainer = await Trainer.create(runtime, network, { batch: BATCH, optimiser: { kind: 'sgd', momentum: 0.9 }, device });
  try {
    const random = new Random(1);
    const x = float32([BATCH, 3, 32, 32]);
    for (let i = 0; i < x.data.length; i++) x.data[i] = random.normal();
    const y = int64([BATCH], new Array<number>(BATCH).fill(0));
    const step = async (): Promise<number> => {
      const start = performance.now();
      await trainer.step(x, y, 0.01);
      return performance.now() - start;
    };
    const first = await step();
    if (first > PATIENCE_MS) return first;
    const times: number[] = [];
    for (let i = 0; i < STEPS; i++) times.push(await step());
    return times.sort((a, b) => a - b)[Math.floor(STEPS / 2)] ?? first;
  } finally {
    trainer.dispose();
  }
}

/** Keeps a measurement for later commands. A cache that cannot be written costs a measurement the next time, nothing else. */
export function keepCalibration(calibration: Calibration): Calibration {
  cache.write(presentKey(), calibration);
  return calibration;
}

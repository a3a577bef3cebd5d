import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import type { DeviceChoice } from '../../contract/devices';
import { findTensorFlow, isNative } from '../../runtime/tfjs/findTensorFlow';
import { calibrated, knownCalibration } from './calibration';
import { PROBE_VARIABLE } from './probeDevice';

type Log = (message: string) => void;

/** Files by which Linux shows that a GPU may be there: render nodes, NVIDIA's driver, WSL's. */
const GPU_FILES = /^(renderD\d+|nvidia\d+|dxg)$/;

const filesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** Whether something beside the processor may run networks; costs no more than a look at a few folders. */
export function mayHaveFasterDevice(): boolean {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return true;
  const shown = [...filesIn('/dev'), ...filesIn('/dev/dri')].some((name) => GPU_FILES.test(name));
  return shown || findTensorFlow().some(isNative);
}

/** The device for someone who asked for `auto`: measured now, if that was not done before. */
export async function measuredDevice(log: Log): Promise<DeviceChoice> {
  if (!mayHaveFasterDevice()) {
    log('--device auto uses cpu: there is nothing else here that could run networks');
    return 'cpu';
  }
  const { id, summary } = await calibrated();
  log(summary);
  return id;
}

/**
 * The device for someone who asked for none: the fastest, once that is known. Until then it is the processor, and `measure` is called, which is to
 * have the devices measured where nobody waits for it.
 */
export function knownDevice(log: Log, measure: () => void): DeviceChoice {
  if (!mayHaveFasterDevice()) return 'cpu';
  const known = knownCalibration();
  if (!known) {
    log(
      'The processor is used. Whether another device is faster is measured in the background and holds from the next start on (--device cpu: never)',
    );
    measure();
    return 'cpu';
  }
  if (known.id !== 'cpu') log(known.summary);
  return known.id;
}

/** Has the devices measured by a process of its own at low priority, which outlives this one. */
export function measureInBackground(): void {
  const script = process.argv[1] ?? '';
  spawn(process.execPath, [...process.execArgv, script], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, [PROBE_VARIABLE]: 'calibrate', ELECTRON_RUN_AS_NODE: '1' },
  }).unref();
}

import type { DeviceChoice } from '../../contract/devices';
import { DeviceRuntime } from '../../runtime/deviceRuntime';
import { openRuntime } from '../../runtime/onnxruntime/openRuntime';
import type { Runtime } from '../../runtime/runtime';
import { openTensorFlow } from '../../runtime/tfjs/tfjsRuntime';
import { measuredDevice } from './autoDevice';
import { probeWebGpu } from './probeDevice';

type Log = (message: string) => void;

let onProcessor: Runtime | undefined;
let chosen: Runtime | undefined;

/** The runtime of this process: onnxruntime on the processor unless `chooseDevice` chose otherwise. */
export const runtime = (): Runtime => chosen ?? processorRuntime();

export function processorRuntime(): Runtime {
  onProcessor ??= openRuntime();
  return onProcessor;
}

/** Makes later work of this process run on a device. A device that cannot be had is replaced by the processor, with a message. */
export async function chooseDevice(choice: DeviceChoice, log: Log): Promise<void> {
  chosen = undefined;
  try {
    chosen = await open(choice, log);
  } catch (error) {
    log(`--device ${choice}: the processor is used. ${(error as Error).message}`);
  }
}

async function open(choice: DeviceChoice, log: Log): Promise<Runtime | undefined> {
  switch (choice) {
    case 'cpu':
      return undefined;
    case 'webgpu':
      await probeWebGpu();
      return new DeviceRuntime(processorRuntime(), 'webgpu', processorRuntime(), log);
    case 'cuda':
      throw new Error(NO_CUDA);
    case 'tensorflow':
      return opened(await openTensorFlow(), log);
    case 'auto': {
      const id = await measuredDevice(log);
      return id === 'auto' ? undefined : open(id, log);
    }
  }
}

function opened(tensorFlow: Runtime, log: Log): Runtime {
  log(`TensorFlow: ${tensorFlow.devices[0]?.description ?? tensorFlow.name}`);
  return new DeviceRuntime(tensorFlow, 'tensorflow', processorRuntime(), log);
}

export const NO_CUDA =
  "onnxruntime's npm package has no CUDA files. An NVIDIA GPU is used by --device webgpu (no installation) or --device tensorflow (@tensorflow/tfjs-node-gpu)";

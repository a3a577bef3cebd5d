import os from 'node:os';
import { version } from '../../../package.json';
import type { DeviceReport } from '../../contract/devices';
import type { EngineInfo } from '../../contract/protocol';
import { findTensorFlow } from '../../runtime/tfjs/findTensorFlow';
import { calibrated, knownCalibration } from './calibration';
import { probeWebGpu } from './probeDevice';
import { NO_CUDA, processorRuntime, runtime } from './runtime';

/** What can run here, and why the rest cannot. With `calibrate` each is timed; else with the times that are kept. */
export async function describeDevices(calibrate = false): Promise<EngineInfo> {
  const times = (calibrate ? await calibrated(true) : knownCalibration())?.times ?? {};
  const webGpuProblem = await probeWebGpu().then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  const devices: DeviceReport[] = [
    ...processorRuntime().devices,
    {
      id: 'webgpu',
      description: 'GPU by WebGPU (Vulkan, Metal or Direct3D 12), through onnxruntime',
      ...(webGpuProblem === undefined ? {} : { unavailable: webGpuProblem }),
    },
    { id: 'cuda', description: 'NVIDIA GPU by CUDA, through onnxruntime', unavailable: NO_CUDA },
    ...tensorFlowDevices(),
  ];
  const timed = devices.map((device) => (device.id in times ? { ...device, stepMs: times[device.id] } : device));
  return { version, runtime: runtime().name, threads: Math.max(1, os.availableParallelism()), devices: timed };
}

function tensorFlowDevices(): DeviceReport[] {
  const found = findTensorFlow();
  if (found.length === 0)
    return [
      {
        id: 'tensorflow',
        description: 'TensorFlow, through tfjs',
        unavailable:
          'not installed: "Scalpel: Install TensorFlow Runtime" in VS Code, or npm install @tensorflow/tfjs-node-gpu in the working folder',
      },
    ];
  return found.map(({ package: name, version: installed, hardware, folder }) => ({
    id: 'tensorflow',
    description: `${name} ${installed} (${hardware}), ${folder}`,
  }));
}

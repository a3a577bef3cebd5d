import os from 'node:os';
import { version } from '../../../package.json';
import type { EngineInfo } from '../../contract/protocol';
import { runtime } from './runtime';

export function describeDevices(): Promise<EngineInfo> {
  const { name, devices } = runtime();
  return Promise.resolve({ version, runtime: name, threads: Math.max(1, os.availableParallelism()), devices });
}

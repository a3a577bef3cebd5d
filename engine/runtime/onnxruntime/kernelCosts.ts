import os from 'node:os';
import type { ConvShape } from '../../ops/costTable';
import { CacheFile } from '../cacheFile';
import type { KernelCosts } from '../runtime';

const file = new CacheFile<KernelCosts>('kernels.json');

const keyOf = (version: string): string => JSON.stringify([version, os.cpus()[0]?.model, os.cpus().length]);

export const kernelCostsFile = (): string => file.path;

export const readKernelCosts = (version: string): KernelCosts | undefined => file.read(keyOf(version));

/** Keeps what is there of other shapes. */
export function addKernelCosts(version: string, { formulations, ...speeds }: KernelCosts): KernelCosts {
  const measured = new Set(formulations.map(identity));
  const before = readKernelCosts(version)?.formulations.filter((entry) => !measured.has(identity(entry))) ?? [];
  const all = { formulations: [...before, ...formulations], ...speeds };
  file.write(keyOf(version), all);
  return all;
}

const identity = ({ job, shape }: { job: string; shape: ConvShape }): string => JSON.stringify([job, shape]);

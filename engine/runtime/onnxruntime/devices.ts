import { cpus, totalmem } from 'node:os';
import type { Device } from '../runtime';

/** The processor, with its cores and the machine's memory. */
export function processorDevice(): Device {
  const cores = cpus();
  return { id: 'cpu', description: `${cores[0]?.model.trim() ?? process.arch}, ${cores.length} cores`, memoryBytes: totalmem() };
}

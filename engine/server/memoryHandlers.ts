import os from 'node:os';
import type { MemoryRequests, StepMemory } from '../contract/memory';
import type { StepResult } from '../training/trainer';
import type { Handlers, InJob } from './handlers';
import { memoryOfModel } from './operations/memory';
import { exportMemory } from './operations/memoryExport';
import { memoryCosts } from './operations/memoryCosts';
import { paperMemory } from './operations/paperMemory';

/** Handlers of the requests on the memory of a training step. */
export const memoryHandlers = (inJob: InJob): Pick<Handlers, keyof MemoryRequests> => ({
  'engine/memory': () => Promise.resolve({ processBytes: process.memoryUsage().rss, machineBytes: os.totalmem() }),
  'model/memory': ({ job, path, ...options }) => inJob(job, (context) => memoryOfModel(path, options, context)),
  'memory/costs': ({ job, path, ...options }) => inJob(job, (context) => memoryCosts(path, options, context)),
  'memory/paper': ({ network, batch }) => Promise.resolve().then(() => paperMemory(network, batch)),
  'memory/export': ({ job, path, ...options }) => inJob(job, (context) => exportMemory(path, options, context)),
});

/** What a step within planned memory tells while it trains; nothing of other steps. */
export function stepMemory({ memory, measured, seconds }: StepResult): { memory?: StepMemory } {
  if (!memory || !measured) return {};
  const { poolBytes, spillBytes, peakBytes: plannedPeakBytes } = memory;
  const processBytes = process.memoryUsage.rss();
  return { memory: { poolBytes, plannedPeakBytes, spillBytes, ...measured, stepSeconds: seconds, processBytes } };
}

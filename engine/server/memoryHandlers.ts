import os from 'node:os';
import type { MemoryRequests, StepMemory } from '../contract/memory';
import type { StepResult } from '../training/trainer';
import type { Handlers, InJob } from './handlers';
import { memoryOfModel } from './operations/memory';
import { exportMemory } from './operations/memoryExport';
import { memoryCosts } from './operations/memoryCosts';

/** Handlers of the requests on the memory of a training step. */
export const memoryHandlers = (inJob: InJob): Pick<Handlers, keyof MemoryRequests> => ({
  'engine/memory': () => Promise.resolve({ processBytes: process.memoryUsage().rss, machineBytes: os.totalmem() }),
  'model/memory': ({ job, path, ...options }) => inJob(job, (context) => memoryOfModel(path, options, context)),
  'memory/costs': ({ job, path, ...options }) => inJob(job, (context) => memoryCosts(path, options, context)),
  'memory/export': ({ job, path, ...options }) => inJob(job, (context) => exportMemory(path, options, context)),
});

/** What a step within planned memory tells while it trains; nothing of other steps. */
export function stepMemory({ memory, seconds }: StepResult): { memory?: StepMemory } {
  if (!memory) return {};
  const { poolBytes, peakBytes, spillBytes, trafficBytes } = memory;
  return { memory: { poolBytes, peakBytes, spillBytes, trafficBytes, stepSeconds: seconds, processBytes: process.memoryUsage().rss } };
}

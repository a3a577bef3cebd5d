import type { MemoryRequests } from '../contract/memory';
import type { Handlers, InJob } from './handlers';
import { memoryOfModel } from './operations/memory';
import { exportMemory } from './operations/memoryExport';
import { memoryCosts } from './operations/memoryCosts';

/** Handlers of the requests on the memory of a training step. */
export const memoryHandlers = (inJob: InJob): Pick<Handlers, keyof MemoryRequests> => ({
  'model/memory': ({ job, path, ...options }) => inJob(job, (context) => memoryOfModel(path, options, context)),
  'memory/costs': ({ job, path, ...options }) => inJob(job, (context) => memoryCosts(path, options, context)),
  'memory/export': ({ job, path, ...options }) => inJob(job, (context) => exportMemory(path, options, context)),
});

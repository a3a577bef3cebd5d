import type { EngineEvents, EngineRequests } from '../contract/protocol';
import { SelectionCost } from '../pruning/selectionCost';
import { findChannelGroups } from '../pruning/channelGroups';
import { decompositionHandlers } from './decompositionHandlers';
import type { JobContext, Jobs } from './jobs';
import { applyPlan } from './operations/applyPlan';
import { calibrateKernels, kernelChoice } from './operations/calibrateKernels';
import { convertModel } from './operations/convert';
import { describeDevices } from './operations/devices';
import { evaluateModel } from './operations/evaluate';
import { computeImportance } from './operations/importance';
import { inspectModel } from './operations/inspect';
import { loadModel } from './operations/loadModel';
import { measureNetworks } from './operations/measure';
import type { OperationContext } from './operations/operation';
import { planPrune } from './operations/prune';
import { evaluateUnderAttack } from './operations/robustness';
import { memoryHandlers, stepMemory } from './memoryHandlers';
import { noiseHandlers } from './noiseHandlers';
import { pruningHandlers } from './pruningHandlers';
import { trainModel } from './operations/train';

/** One function for every request of the contract. */
export type Handlers = {
  readonly [M in keyof EngineRequests]: (params: EngineRequests[M]['params']) => Promise<EngineRequests[M]['result']>;
};

/** Sends a notification of the contract. */
export type Notify = <E extends keyof EngineEvents>(event: E, params: EngineEvents[E]) => void;

/** Runs work as a job that reports progress and can be cancelled. */
export type InJob = <T>(id: string, work: (context: OperationContext, job: JobContext) => Promise<T>) => Promise<T>;

type Log = (level: 'info' | 'warn' | 'error', message: string) => void;

export function createHandlers(jobs: Jobs, log: Log, notify: Notify = () => undefined): Handlers {
  const operation = (job: JobContext): OperationContext => ({
    signal: job.signal,
    log: (message) => log('info', message),
    progress: (done, total, unit, message) => job.progress(done, total, unit, message === undefined ? {} : { message }),
  });
  const inJob: InJob = (id, work) => jobs.run(id, (job) => work(operation(job), job));
  return {
    'engine/info': () => describeDevices(),
    ...noiseHandlers(),
    'model/inspect': ({ path, plan }) => inspectModel(path, plan),
    ...memoryHandlers(inJob),
    'model/convert': ({ path, output }) => convertModel(path, output),
    'model/importance': ({ job, path, ...options }) => inJob(job, (context) => computeImportance(path, options, context)),
    'plan/prune': ({ path, plan, importance, budget, ...limits }) => planPrune(path, plan, importance, budget, limits),
    'plan/totals': async ({ path, plan }) => new SelectionCost(findChannelGroups((await loadModel(path, plan)).graph)).of(),
    'plan/apply': ({ job, path, plan, output }) => inJob(job, (context) => applyPlan(path, plan, output, context)),
    'model/evaluate': ({ job, path, ...options }) => inJob(job, (context) => evaluateModel(path, options, context)),
    'model/robustness': ({ job, path, ...options }) => inJob(job, (context) => evaluateUnderAttack(path, options, context)),
    'model/measure': ({ job, path, plan, ...options }) =>
      inJob(job, async (context) => {
        const [measured] = await measureNetworks([(await loadModel(path, plan)).graph], options, context);
        if (!measured) throw new Error('Nothing was measured');
        return measured;
      }),
    ...pruningHandlers(inJob, notify),
    ...decompositionHandlers(inJob, notify),
    'kernels/choice': () => Promise.resolve(kernelChoice()),
    'kernels/calibrate': ({ job, ...options }) => inJob(job, (context) => calibrateKernels(options, context)),
    'model/train': ({ job, path, output, ...options }) =>
      inJob(job, (context, running) =>
        trainModel(
          path,
          { ...options, output },
          {
            ...context,
            onStep: (step, total, result) =>
              running.progress(step, total, 'steps', {
                message: `loss ${result.loss.toFixed(3)}`,
                noise: Object.fromEntries(result.reports),
                ...stepMemory(result),
              }),
            onPool: (step, trace) => notify('memory/pool', { job, step, ...trace }),
            onEpoch: (epoch) => running.progress(epoch.epoch, options.epochs, 'epochs', { epoch }),
          },
        ),
      ),
  };
}

import type { PruningRequests } from '../contract/tickTock';
import type { Handlers, InJob, Notify } from './handlers';
import { costCurveOf, explainModelGroup, measureSensitivity } from './operations/groups';
import { planEffects } from './operations/planEffects';
import { readTickTockSettings, tickTockModel } from './operations/tickTock';

/** Handlers of the pruning topic's requests. */
export function pruningHandlers(inJob: InJob, notify: Notify): Pick<Handlers, keyof PruningRequests> {
  const stops = new Map<string, AbortController>();
  return {
    'plan/effects': ({ path, plan }) => planEffects(path, plan),
    'plan/costCurve': ({ path, ...options }) => costCurveOf(path, options),
    'model/explain': ({ path, group, plan }) => explainModelGroup(path, group, plan),
    'model/sensitivity': ({ job, path, ...options }) => inJob(job, (context) => measureSensitivity(path, options, context)),
    'tickTock/run': async ({ job, path, ...options }) => {
      const stop = new AbortController();
      stops.set(job, stop);
      try {
        return await inJob(job, (context) =>
          tickTockModel(path, options, { ...context, stop: stop.signal, onPoint: (point) => notify('tickTock/point', { job, point }) }),
        );
      } finally {
        stops.delete(job);
      }
    },
    'tickTock/settings': ({ file }) => readTickTockSettings(file),
    'tickTock/stop': ({ job }) => {
      stops.get(job)?.abort();
      return Promise.resolve({ stopping: stops.has(job) });
    },
  };
}

import type { DecompositionRequests } from '../contract/decomposition';
import type { Handlers, InJob } from './handlers';
import { listReplaceable, planDecompose, rankModel } from './operations/decompose';

/** Handlers of the requests about block-term forms. */
export const decompositionHandlers = (inJob: InJob): Pick<Handlers, keyof DecompositionRequests> => ({
  'model/ranks': ({ job, path, ...options }) => inJob(job, (context) => rankModel(path, options, context)),
  'model/replaceable': ({ path, plan }) => listReplaceable(path, plan),
  'plan/decompose': ({ job, path, plan, layer, choice }) => inJob(job, (context) => planDecompose(path, plan, layer, choice, context)),
});

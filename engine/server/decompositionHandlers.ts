import type { DecompositionRequests } from '../contract/decomposition';
import type { Handlers, InJob, Notify } from './handlers';
import { budgetNetwork } from './operations/decomposeNetwork';
import { savePlanWeights } from './operations/applyPlan';
import { costOfChoice, fitChoice, listReplaceable, planDecompose, rankModel } from './operations/decompose';

/** Handlers of the requests about block-term forms. */
export const decompositionHandlers = (inJob: InJob, notify: Notify): Pick<Handlers, keyof DecompositionRequests> => ({
  'model/ranks': ({ job, path, ...options }) =>
    inJob(job, (context) => rankModel(path, options, { ...context, onPartial: (ranks) => notify('ranks/partial', { job, ranks }) })),
  'plan/weights': ({ job, path, plan, output }) => inJob(job, (context) => savePlanWeights(path, plan, output, context)),
  'ranks/cost': (choice) => costOfChoice(choice),
  'ranks/fit': ({ job, ...choice }) => inJob(job, (context) => fitChoice(choice, context)),
  'model/rankBudget': ({ job, path, ...flags }) =>
    inJob(job, async (context) => {
      const { plan, layers, lossChange, before, after } = await budgetNetwork(path, flags, context);
      return { plan, layers, lossChange, before, after };
    }),
  'model/replaceable': ({ path, plan }) => listReplaceable(path, plan),
  'plan/decompose': ({ job, path, plan, layer, choice, batch }) =>
    inJob(job, (context) => planDecompose(path, plan, layer, choice, context, batch)),
});

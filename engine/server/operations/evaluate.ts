import type { SurgeryPlan } from '../../contract/plan';
import { type Evaluation, evaluate } from '../../training/evaluate';
import { type DataFlags, evaluationBatchOf, openData, testBatches } from './data';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export interface EvaluateFlags extends DataFlags {
  readonly batch?: number;
  readonly threads?: number;
  readonly plan?: SurgeryPlan;
  /** Bytes of the pool that it takes place in. */
  readonly memoryBudget?: number;
}

/** Loss and accuracy on the test split. */
export async function evaluateModel(file: string, options: EvaluateFlags, context: OperationContext = {}): Promise<Evaluation> {
  const { graph } = await loadModel(file, options.plan);
  const data = await openData(options);
  data.notes.forEach((note) => context.log?.(note));
  const { threads, memoryBudget: budget, batch = evaluationBatchOf(data) } = options;
  const { count, batches } = testBatches(data, options, batch);
  return evaluate(runtime(), graph, batches, {
    threads,
    batch,
    memory: budget === undefined ? undefined : { budget },
    signal: context.signal,
    onBatch: (done) => context.progress?.(done, count, 'samples'),
  });
}

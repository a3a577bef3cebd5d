import type { MemoryCost, MemoryPolicy, MemoryRequests } from '../../contract/memory';
import { leastPool } from '../../memory/plan';
import { floorOf, reportPolicy } from '../../memory/report';
import { betweenPlans, graphOf, programOf } from './memoryPrograms';
import type { OperationContext } from './operation';

const SAVING: readonly MemoryPolicy[] = ['auto', 'offload', 'recompute'];

type CostOptions = Omit<MemoryRequests['memory/costs']['params'], 'job' | 'path'>;

/** What budgets cost, evenly spaced from each policy's floor up to the pool that holds everything; policies that save nothing are left out. */
export async function memoryCosts(file: string, options: CostOptions, context: OperationContext = {}): Promise<MemoryCost[]> {
  const program = await programOf(await graphOf(file, options.plan), options);
  const whole = leastPool(program);
  const costs: MemoryCost[] = [];
  for (const policy of SAVING) {
    const floor = floorOf(program, policy).bytes;
    if (floor >= whole) continue;
    for (let i = 0; i < options.points; i++) {
      await betweenPlans(context);
      const budget = Math.floor(floor + ((whole - floor) * i) / Math.max(1, options.points - 1));
      const { report } = reportPolicy(program, policy, budget);
      if (!report.feasible) continue;
      const { trafficBytes = 0, recomputations = 0, extraSeconds = 0, extraFraction = 0 } = report;
      costs.push({ policy, budget, trafficBytes, recomputations, extraSeconds, extraFraction });
    }
  }
  return costs;
}

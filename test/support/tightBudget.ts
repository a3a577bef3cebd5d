import type { MemoryPolicy } from '../../engine/contract/memory';
import { leastPool, memoryFloor, planMemory } from '../../engine/memory/plan';
import type { MemoryProgram } from '../../engine/memory/program';

/** The floor; for the automatic policy the least of some budgets at which it moves values and computes some again, if there is one. */
export function tightBudget(program: MemoryProgram, policy: MemoryPolicy): number {
  const floor = memoryFloor(program, policy).bytes;
  if (policy !== 'auto') return floor;
  const pool = leastPool(program);
  for (let part = 0; part < 1; part += 0.1) {
    const budget = Math.ceil(floor + part * (pool - floor));
    const { trafficBytes, recomputations } = planMemory(program, policy, budget);
    if (trafficBytes > 0 && recomputations > 0) return budget;
  }
  return floor;
}

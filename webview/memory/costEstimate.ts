import type { MemoryCost, MemoryPolicy } from '../../engine/contract/memory';

/** Cost of a budget between two that were computed, by the straight line between them; undefined outside of them. */
export function estimateCost(costs: readonly MemoryCost[], policy: MemoryPolicy, budget: number): MemoryCost | undefined {
  const own = costs.filter((cost) => cost.policy === policy).sort((a, b) => a.budget - b.budget);
  const above = own.findIndex((cost) => cost.budget >= budget);
  const [low, high] = [own[above - 1] ?? own[above], own[above]];
  if (!low || !high || (above === 0 && high.budget > budget)) return undefined;
  const part = high.budget === low.budget ? 0 : (budget - low.budget) / (high.budget - low.budget);
  const between = (of: (cost: MemoryCost) => number): number => of(low) + part * (of(high) - of(low));
  return {
    policy,
    budget,
    trafficBytes: Math.round(between((c) => c.trafficBytes)),
    recomputations: Math.round(between((c) => c.recomputations)),
    extraSeconds: between((c) => c.extraSeconds),
    extraFraction: between((c) => c.extraFraction),
  };
}

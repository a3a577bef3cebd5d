import type { SurgeryPlan } from '../../contract/plan';
import type { CostChange, PlanEffects } from '../../contract/pruning';
import { SelectionCost } from '../../pruning/selectionCost';
import { loadModel } from './loadModel';

/** What the enabled prune operations of a plan take away, group by group. */
export async function planEffects(file: string, plan: SurgeryPlan): Promise<PlanEffects> {
  const { applied } = await loadModel(file, plan);
  const prunes = plan.operations.filter((o) => o.enabled && o.kind === 'prune');
  return (applied?.cuts ?? []).map(({ network, selection }, i) => {
    const cost = new SelectionCost(network);
    const [whole, left] = [cost.of(), cost.of(selection)];
    const groups = [...selection.keys()].map((group) => {
      const without = new Map([...selection].filter(([id]) => id !== group));
      return { group, ...difference(cost.of(without), left) };
    });
    const { macs, parameters } = whole;
    return { operation: prunes[i]?.id ?? '', whole: { macs, parameters }, ...difference(whole, left), groups };
  });
}

const difference = (a: CostChange, b: CostChange): CostChange => ({ macs: a.macs - b.macs, parameters: a.parameters - b.parameters });

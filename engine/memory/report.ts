import type { MemoryPoint, MemoryPolicy, PolicyReport } from '../contract/memory';
import { type Floor, extraSeconds, floorPolicy, memoryFloor, planMemory } from './plan';
import type { MemoryProgram } from './program';
import type { Schedule } from './schedule';
import { BudgetTooSmall } from './scheduler';
import { timelineOf } from './timeline';

/** Figures of one policy, and its schedule when the budget holds it. `plan` takes the place of planning the program, which then gives the floor; its operations may be slower. `whole`: seconds of an iteration that nothing slows down. */
export function reportPolicy(
  program: MemoryProgram,
  policy: MemoryPolicy,
  budget?: number,
  whole = iterationSeconds(program),
  plan: () => { schedule: Schedule; slowerSeconds?: number } = () => ({ schedule: planMemory(program, policy, budget) }),
): { report: PolicyReport; schedule?: Schedule } {
  const floor = floorOf(program, policy);
  try {
    const { schedule, slowerSeconds = 0 } = plan();
    const { peakBytes, poolBytes, spillBytes, trafficBytes, recomputations } = schedule;
    const extra = extraSeconds(schedule) + slowerSeconds;
    const figures = { peakBytes, poolBytes, spillBytes, trafficBytes, recomputations, extraSeconds: extra, extraFraction: extra / whole };
    const { bytes, layer } = lowerFloor(program, policy, poolBytes);
    return { report: { policy, floorBytes: bytes, floorLayer: layer, feasible: true, ...figures }, schedule };
  } catch (error) {
    if (!(error instanceof BudgetTooSmall)) throw error;
    return { report: { policy, floorBytes: floor.bytes, floorLayer: floor.layer, feasible: false } };
  }
}

type PolicyFloor = Pick<Floor, 'bytes' | 'layer'>;
const floors = new WeakMap<MemoryProgram, Map<MemoryPolicy, PolicyFloor>>();

/** The least budget of a policy; it is searched for once for each program. */
export function floorOf(program: MemoryProgram, asked: MemoryPolicy): PolicyFloor {
  const policy = floorPolicy(program, asked);
  const known = floors.get(program) ?? new Map<MemoryPolicy, PolicyFloor>();
  floors.set(program, known);
  const floor =
    known.get(policy) ?? (policy === 'none' ? { bytes: planMemory(program, 'none').poolBytes, layer: '' } : memoryFloor(program, policy));
  known.set(policy, floor);
  return floor;
}

/** A plan for a budget is looked for longer than a floor, and may be found below it. */
function lowerFloor(program: MemoryProgram, asked: MemoryPolicy, poolBytes: number): PolicyFloor {
  const floor = floorOf(program, asked);
  if (floor.bytes <= poolBytes) return floor;
  const lower = { ...floor, bytes: poolBytes };
  floors.get(program)?.set(floorPolicy(program, asked), lower);
  return lower;
}

export const iterationSeconds = ({ operations }: MemoryProgram): number => operations.reduce((sum, { seconds }) => sum + seconds, 0);

/** The timeline with the operators of one layer and phase merged: what a person looks at. */
export function layerTimeline(program: MemoryProgram, schedule: Schedule): MemoryPoint[] {
  const points: MemoryPoint[] = [];
  let largest = 0;
  for (const { layer: own, phase, bytes: held, offloaded, alive } of timelineOf(program, schedule)) {
    const last = points.at(-1);
    const layer = own || (last?.layer ?? '');
    const point: MemoryPoint = { layer, phase, bytes: held, offloaded, alive };
    const bytes = Object.values(point.bytes).reduce((a, b) => a + b, 0);
    const merged = last?.layer === point.layer && last.phase === point.phase;
    if (!merged) largest = 0;
    if (merged && bytes <= largest) continue;
    largest = bytes;
    if (merged) points[points.length - 1] = point;
    else points.push(point);
  }
  return points;
}

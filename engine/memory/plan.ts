import { SurgeryError } from '../graph/errors';
import type { MemoryProgram, Operation } from './program';
import type { MemoryPolicy } from '../contract/memory';
import type { Schedule } from './schedule';
import { BudgetTooSmall, PLACEMENTS, type Placement, VISIBLE_SPILL_SPEED, scheduleEverything, scheduleWithin } from './scheduler';
import { verifySchedule } from './verifySchedule';

/** More than any network here needs: a pool that is never full. */
const UNLIMITED = 2 ** 50;
/** The floor is found to this part of itself. */
const PRECISION = 0.01;

/** Pinned storages below this always stay in the pool. */
const SMALL_PINNED = 4096;
/** Part of the budget that weights and state may take before it is tried to keep them in the spill. */
const PINNED_SHARE = 1 / 8;
/** What 'auto' falls back on, in this order, where mixing value by value does not fit. */
const FALLBACKS: readonly MemoryPolicy[] = ['auto', 'offload', 'recompute'];
/** Larger programs are scheduled in one way only, if that succeeds. */
const MANY_OPERATIONS = 20_000;

/** Time that a schedule adds to an iteration, roughly. */
export const extraSeconds = ({ trafficBytes, recomputeSeconds }: Schedule): number => trafficBytes / VISIBLE_SPILL_SPEED + recomputeSeconds;

/**
 * A verified schedule of one policy within a budget; within the least pool that holds everything when there is none. Of the ways
 * to place storages the one that costs least.
 *
 * @throws BudgetTooSmall naming the operation
 */
export function planMemory(program: MemoryProgram, policy: MemoryPolicy, budget?: number): Schedule {
  const schedule = policy === 'none' ? scheduleEverything(program) : cheapest(program, policy, budget ?? leastPool(program));
  if (schedule.poolBytes > (budget ?? Infinity))
    throw new BudgetTooSmall(program.operations[schedule.peakOperation] as Operation, budget ?? 0);
  verifySchedule(program, schedule);
  return schedule;
}

/**
 * `planMemory` for someone who gave a budget.
 * @throws SurgeryError 'budget-impossible' with the floor and the layer that sets it
 */
export function planOrExplain(program: MemoryProgram, policy: MemoryPolicy, budget?: number): Schedule {
  try {
    return planMemory(program, policy, budget);
  } catch (error) {
    if (!(error instanceof BudgetTooSmall)) throw error;
    const { bytes, layer } = memoryFloor(program, policy);
    const mebibytes = (n: number): string => `${(n / 2 ** 20).toFixed(1)} MiB`;
    throw new SurgeryError(
      'budget-impossible',
      `A memory budget of ${mebibytes(budget ?? 0)} does not hold a training step: with policy ${policy} it takes at least ${mebibytes(bytes)}, set by layer ${layer}. Raise the budget or make the batch smaller`,
      { floorBytes: bytes, layer },
    );
  }
}

function cheapest(program: MemoryProgram, policy: MemoryPolicy, budget: number): Schedule {
  const failures: BudgetTooSmall[] = [];
  for (const by of policy === 'auto' ? FALLBACKS : [policy]) {
    const schedule = cheapestOf(program, waysToSchedule(program, by, budget), budget, failures);
    if (schedule) return { ...schedule, policy };
  }
  const reached = ({ operation }: BudgetTooSmall): number => program.operations.indexOf(operation);
  throw failures.reduce((a, b) => (reached(b) >= reached(a) ? b : a));
}

function cheapestOf(program: MemoryProgram, ways: readonly Way[], budget: number, failures: BudgetTooSmall[]): Schedule | undefined {
  let best: Schedule | undefined;
  for (const { by, placement, away } of ways) {
    if (best && (extraSeconds(best) === 0 || program.operations.length > MANY_OPERATIONS)) break;
    try {
      const schedule = scheduleWithin(program, budget, by, placement, away);
      if (!best || extraSeconds(schedule) < extraSeconds(best)) best = schedule;
    } catch (error) {
      if (!(error instanceof BudgetTooSmall)) throw error;
      failures.push(error);
    }
  }
  return best;
}

interface Way {
  readonly by: MemoryPolicy;
  readonly placement: Placement;
  readonly away?: ReadonlySet<number>;
}

/** Without any saving first: it costs nothing where the budget has room for it. */
function waysToSchedule(program: MemoryProgram, policy: MemoryPolicy, budget: number): Way[] {
  const ways: Way[] = PLACEMENTS.map((placement) => ({ by: 'liveness', placement }));
  if (policy === 'liveness') return ways;
  for (const away of awayChoices(program, policy, budget)) ways.push(...PLACEMENTS.map((placement) => ({ by: policy, placement, away })));
  return ways;
}

/** Sets of weights and state that may lie in the spill between iterations, none first where the budget has room for them. */
function awayChoices({ storages, keepsPinned }: MemoryProgram, policy: MemoryPolicy, budget: number): readonly ReadonlySet<number>[] {
  const none = new Set<number>();
  const pinned = storages.reduce((sum, storage) => sum + (storage.pinned ? storage.bytes : 0), 0);
  if (keepsPinned || (policy !== 'offload' && policy !== 'auto') || pinned < PINNED_SHARE * budget) return [none];
  const all = new Set(storages.flatMap((storage, id) => (storage.pinned && storage.bytes > SMALL_PINNED ? [id] : [])));
  return pinned > budget / 2 ? [all] : [none, all];
}

/** A pool in which nothing has to leave: the most that is live at once, and what lies fallow between. */
export function leastPool(program: MemoryProgram): number {
  const { peakBytes } = scheduleWithin(program, UNLIMITED, 'liveness');
  return bisect(peakBytes, 2 * peakBytes, (budget) => void cheapest(program, 'liveness', budget)).bytes;
}

export interface Floor {
  /** A budget that suffices; a hundredth less does not. */
  readonly bytes: number;
  /** Layer that sets it, and its operator. */
  readonly layer: string;
  readonly operation: string;
}

/** The least budget of a policy: between what one operation needs and what keeping everything needs. */
export function memoryFloor(program: MemoryProgram, policy: MemoryPolicy): Floor {
  const need = ({ reads, writes, workspace }: Operation): number =>
    [...new Set([...reads, ...writes, workspace])].reduce(
      (n: number, id) => n + (id === undefined ? 0 : (program.storages[id]?.bytes ?? 0)),
      0,
    );
  const { bytes, limit } = bisect(
    Math.max(...program.operations.map(need)),
    leastPool(program),
    (budget) => void cheapest(program, policy, budget),
  );
  const at = limit ?? program.operations[0];
  return { bytes, layer: at?.layer ?? '', operation: at?.name ?? '' };
}

function bisect(from: number, to: number, attempt: (budget: number) => void): { bytes: number; limit: Operation | undefined } {
  let [low, high] = [from, to];
  let limit: Operation | undefined;
  while (high - low > PRECISION * high) {
    const middle = Math.floor((low + high) / 2);
    try {
      attempt(middle);
      high = middle;
    } catch (error) {
      if (!(error instanceof BudgetTooSmall)) throw error;
      limit = error.operation;
      low = middle;
    }
  }
  return { bytes: high, limit };
}

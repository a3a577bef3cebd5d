import { SurgeryError } from '../graph/errors';
import type { MemoryProgram, Operation } from './program';
import type { MemoryPolicy } from '../contract/memory';
import type { Schedule, Step } from './schedule';
import { placeOffline } from './offlinePlacement';
import { BudgetTooSmall, PLACEMENTS, type Placement, scheduleEverything, scheduleWithin } from './scheduler';
import { VISIBLE_SPILL_SPEED } from './spillCost';
import { EvictionPlan } from './evictionPlan';
import { verifySchedule } from './verifySchedule';

/** More than any network here needs: a pool that is never full. */
const UNLIMITED = 2 ** 50;
/** The floor is found to this part of itself. */
const PRECISION = 0.01;
/** First step, as a part, in which the floor of a large program is looked for. */
const CLIMB = 0.05;

/** Pinned storages below this always stay in the pool. */
const SMALL_PINNED = 4096;
/** Part of the budget that weights and state may take before it is tried to keep them in the spill. */
const PINNED_SHARE = 1 / 8;
/** What 'auto' chooses from: mixing value by value does not always cost least, nor fit wherever the others do. */
const SAVING: readonly MemoryPolicy[] = ['auto', 'offload', 'recompute'];
/** Larger programs are scheduled in one way only for each policy, if that succeeds. */
const MANY_OPERATIONS = 20_000;
/** Up to this many operations places are chosen in the knowledge of the whole schedule, which takes quadratic time. */
const FEW_OPERATIONS = 4_000;
/** Bytes that a schedule without places may hold at once, as parts of the budget: what it leaves is for what lies fallow. */
const FILLINGS = [1, 0.96, 0.9];
/** Those tried besides where it is planned what leaves: how much lies fallow differs from one choice to the next. */
const FINER_FILLINGS = [0.98, 0.94, 0.92, 0.87];
/** Ways to plan what leaves; without a plan it is what is needed last. */
const REACHES = [undefined, 0.5, 1];
/** Up to this many operations it is planned what leaves. */
const PLANNED_OPERATIONS = 1_500;
/** How much longer places are looked for in the end, and for how many of the cheapest schedules of a program beyond `PLANNED_OPERATIONS`. */
const PATIENCE = 60;
const PATIENT_TRIALS = 12;
/** Parts of a budget that are tried when the whole of it fails. */
const SMALLER = [1, 0.98, 0.95, 0.9];
/** Groups of weights and state of which it is tried to keep them in the pool after all. */
const HOMECOMINGS = 24;

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
    const step = program.operations.some(({ phase }) => phase !== 'forward') ? 'a training step' : 'an evaluation';
    throw new SurgeryError(
      'budget-impossible',
      `A memory budget of ${mebibytes(budget ?? 0)} does not hold ${step}: with policy ${policy} it takes at least ${mebibytes(bytes)}, set by layer ${layer}. Raise the budget or make the batch smaller`,
      { floorBytes: bytes, layer },
    );
  }
}

/** A larger budget may fail where a smaller one holds, because other places were chosen. */
function cheapest(program: MemoryProgram, policy: MemoryPolicy, budget: number): Schedule {
  const shares = program.operations.length > FEW_OPERATIONS ? [1] : SMALLER;
  let failure: BudgetTooSmall | undefined;
  for (const share of shares)
    try {
      return cheapestWithin(program, policy, Math.floor(share * budget));
    } catch (error) {
      if (!(error instanceof BudgetTooSmall)) throw error;
      failure ??= new BudgetTooSmall(error.operation, budget);
    }
  throw failure as BudgetTooSmall;
}

function cheapestWithin(program: MemoryProgram, policy: MemoryPolicy, budget: number): Schedule {
  const limits: Operation[] = [];
  const free = withoutSaving(program, budget, limits);
  if (free) return { ...free, policy };
  const policies = policy === 'auto' ? SAVING : [policy];
  const cheapestOf = program.operations.length > MANY_OPERATIONS ? cheapestOfMany : cheapestOfFew;
  const best = cheapestOf(program, policies, budget, limits);
  if (!best) throw new BudgetTooSmall(furthest(program, limits), budget);
  return { ...bringHome(program, best, budget), policy };
}

function cheapestOfFew(program: MemoryProgram, policies: readonly MemoryPolicy[], budget: number, limits: Operation[]): Found | undefined {
  const tried = policies.map((by) => triedWithin(program, by, budget));
  limits.push(...tried.flatMap((each) => each.limits));
  const counted = tried.flatMap((each) => each.counted);
  const [quick] = tried.flatMap(({ best }) => best ?? []).sort(byExtraSeconds);
  return placedPatiently(program, counted, budget, quick) ?? quick;
}

/** Two schedules of a program of many operations are too large to hold at once: the cheapest is made again unless it came last. */
function cheapestOfMany(program: MemoryProgram, policies: readonly MemoryPolicy[], budget: number, limits: Operation[]): Found | undefined {
  let least: { readonly way: Way; readonly seconds: number } | undefined;
  let last: Found | undefined;
  for (const by of policies.toReversed()) {
    last = undefined;
    const tried = tryAll(program, waysToSave(program, by, budget), budget);
    limits.push(...tried.limits);
    if (!tried.best || extraSeconds(tried.best.schedule) >= (least?.seconds ?? Infinity)) continue;
    last = tried.best;
    least = { way: last.way, seconds: extraSeconds(last.schedule) };
  }
  if (last || !least) return last;
  const schedule = attempt(program, least.way, budget, limits);
  return schedule && { way: least.way, schedule };
}

/** The cheapest schedule without places that finds them after a long search, of those that cost less than one that found them soon. */
function placedPatiently(program: MemoryProgram, counted: readonly Found[], budget: number, quick: Found | undefined): Found | undefined {
  const least = quick ? extraSeconds(quick.schedule) : Infinity;
  const cheaper = counted.filter(({ schedule }) => extraSeconds(schedule) < least).sort(byExtraSeconds);
  const trials = program.operations.length > PLANNED_OPERATIONS ? PATIENT_TRIALS : Infinity;
  for (const { way, schedule } of cheaper.slice(0, trials)) {
    const placed = placeLong(program, schedule, budget);
    if (placed.poolBytes <= budget) return { way, schedule: placed };
  }
  return undefined;
}

/** What a long search came to for each schedule without places: policies that are compared share them. */
const longPlaced = new WeakMap<Schedule, { readonly budget: number; readonly placed: Schedule }>();

function placeLong(program: MemoryProgram, schedule: Schedule, budget: number): Schedule {
  const known = longPlaced.get(schedule);
  if (known?.budget === budget) return known.placed;
  const placed = placeOffline(program, schedule, budget, PATIENCE);
  longPlaced.set(schedule, { budget, placed });
  return placed;
}

const byExtraSeconds = (a: Found, b: Found): number => extraSeconds(a.schedule) - extraSeconds(b.schedule);

/** Keeps weights and state in the pool, largest first, where the budget has room for them and it saves time. */
function bringHome(program: MemoryProgram, { way, schedule }: Found, budget: number): Schedule {
  const bytesOf = (id: number): number => program.storages[id]?.bytes ?? 0;
  const largest = [...(way.away ?? [])].sort((a, b) => bytesOf(b) - bytesOf(a));
  if (program.operations.length > MANY_OPERATIONS) return schedule;
  const group = Math.ceil(largest.length / HOMECOMINGS);
  let [away, best] = [new Set(largest), schedule];
  for (let at = 0; at < largest.length; at += group) {
    const fewer = new Set([...away].filter((id) => !largest.slice(at, at + group).includes(id)));
    const found = attempt(program, { ...way, away: fewer }, budget, []);
    if (found && extraSeconds(found) < extraSeconds(best)) [away, best] = [fewer, found];
  }
  return best;
}

/** Whether a schedule is found soon, of whatever cost. */
export function fitsWithin(program: MemoryProgram, policy: MemoryPolicy, budget: number): boolean {
  if (policy === 'none') return scheduleEverything(program).poolBytes <= budget;
  try {
    expectToFit(program, policy, budget);
    return true;
  } catch (error) {
    if (error instanceof BudgetTooSmall) return false;
    throw error;
  }
}

/** @throws BudgetTooSmall when no way to schedule fits */
function expectToFit(program: MemoryProgram, policy: MemoryPolicy, budget: number): void {
  const limits: Operation[] = [];
  const policies = policy === 'auto' ? SAVING : [policy];
  const large = program.operations.length > FEW_OPERATIONS;
  const likely = (by: MemoryPolicy): Way[] =>
    waysToSave(program, by, budget).filter(({ reach, placement, filling }) =>
      large ? placement === SIMPLEST : reach !== 1 && !FINER_FILLINGS.includes(filling ?? 1),
    );
  if (policies.some((by) => first(program, likely(by), budget, limits))) return;
  if ((!large || policy === 'liveness') && withoutSaving(program, budget, limits)) return;
  throw new BudgetTooSmall(furthest(program, limits), budget);
}

function furthest({ operations }: MemoryProgram, limits: readonly Operation[]): Operation {
  return limits.reduce((a, b) => (operations.indexOf(b) >= operations.indexOf(a) ? b : a));
}

interface Found {
  readonly way: Way;
  readonly schedule: Schedule;
}

/** What came of the ways to save of one policy. */
interface Tried {
  readonly best?: Found;
  /** Schedules without places. */
  readonly counted: readonly Found[];
  /** Operations that the budget did not hold. */
  readonly limits: readonly Operation[];
}

/** By policy, for the budget that a program was planned for last: 'auto' tries what the others try. */
const lastTried = new WeakMap<MemoryProgram, { readonly budget: number; readonly byPolicy: Map<MemoryPolicy, Tried> }>();

function triedWithin(program: MemoryProgram, policy: MemoryPolicy, budget: number): Tried {
  const last = lastTried.get(program);
  const { byPolicy } = last?.budget === budget ? last : { byPolicy: new Map<MemoryPolicy, Tried>() };
  lastTried.set(program, { budget, byPolicy });
  const tried = byPolicy.get(policy) ?? tryAll(program, waysToSave(program, policy, budget), budget);
  byPolicy.set(policy, tried);
  return tried;
}

function tryAll(program: MemoryProgram, ways: readonly Way[], budget: number): Tried {
  const limits: Operation[] = [];
  const isLater = ({ filling }: Way): boolean => filling !== undefined;
  const counted = differentSchedules(program, ways.filter(isLater), budget, limits);
  let best: Found | undefined;
  for (const { way, schedule } of counted) {
    const placed = unlessTooSmall(limits, () => placeWithin(program, schedule, budget));
    if (placed) best = { way, schedule: placed };
    if (best) break;
  }
  for (const way of ways.filter((each) => !isLater(each))) {
    const schedule = attempt(program, way, budget, limits);
    if (schedule && (!best || extraSeconds(schedule) < extraSeconds(best.schedule))) best = { way, schedule };
    if (best && program.operations.length > MANY_OPERATIONS) break;
  }
  return { best, counted, limits };
}

const subjectOf = (step: Step): number => ('operation' in step ? step.operation : 'to' in step ? step.to : step.storage);

/** Schedules without places, the cheapest first. */
function differentSchedules(program: MemoryProgram, ways: readonly Way[], budget: number, limits: Operation[]): Found[] {
  const different = new Map<string, Found>();
  for (const way of ways) {
    const schedule = unlessTooSmall(limits, () => countWithin(program, way, budget));
    if (!schedule) continue;
    const key = schedule.steps.map((step) => `${step.kind} ${subjectOf(step)}`).join();
    if (!different.has(key)) different.set(key, { way, schedule });
  }
  return [...different.values()].sort(byExtraSeconds);
}

function first(program: MemoryProgram, ways: readonly Way[], budget: number, limits: Operation[]): Schedule | undefined {
  for (const way of ways) {
    const schedule = attempt(program, way, budget, limits);
    if (schedule) return schedule;
  }
  return undefined;
}

function attempt(program: MemoryProgram, way: Way, budget: number, limits: Operation[]): Schedule | undefined {
  const { by, placement, away, filling } = way;
  return unlessTooSmall(limits, () =>
    filling === undefined
      ? scheduleWithin(program, budget, by, placement, away)
      : placeWithin(program, countWithin(program, way, budget), budget),
  );
}

function countWithin(program: MemoryProgram, { by, placement, away, filling = 1, reach }: Way, budget: number): Schedule {
  const plan = reach === undefined ? undefined : new EvictionPlan(program, filling * budget, by, away ?? new Set(), reach);
  return scheduleWithin(program, filling * budget, by, placement, away, plan);
}

function placeWithin(program: MemoryProgram, counted: Schedule, budget: number): Schedule {
  const schedule = placeOffline(program, counted, budget);
  if (schedule.poolBytes > budget) throw new BudgetTooSmall(program.operations[schedule.peakOperation] as Operation, budget);
  return schedule;
}

function unlessTooSmall(limits: Operation[], find: () => Schedule): Schedule | undefined {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof BudgetTooSmall)) throw error;
    limits.push(error.operation);
    return undefined;
  }
}

interface Way {
  readonly by: MemoryPolicy;
  readonly placement: Placement;
  readonly away?: ReadonlySet<number>;
  /** Part of the budget that may be filled when places are chosen at the end. */
  readonly filling?: number;
  /** Plans then what leaves, with this weight for gaps that serve many operations. */
  readonly reach?: number;
}

/** Without any saving: it costs nothing where the budget has room for it. */
function withoutSaving(program: MemoryProgram, budget: number, limits: Operation[]): Schedule | undefined {
  const counted = attempt(program, { by: 'liveness', placement: LATER }, budget, limits);
  return counted && first(program, waysToPlace(program, { by: 'liveness' }), budget, limits);
}

function waysToPlace({ operations }: MemoryProgram, way: Pick<Way, 'by' | 'away'>): Way[] {
  const planned = way.by !== 'liveness' && operations.length <= PLANNED_OPERATIONS;
  const fillings = way.by === 'liveness' ? FILLINGS.slice(0, 1) : planned ? [...FILLINGS, ...FINER_FILLINGS] : FILLINGS;
  const reaches = planned ? REACHES : [undefined];
  const later = { ...way, placement: LATER };
  const offline =
    operations.length > FEW_OPERATIONS ? [] : fillings.flatMap((filling) => reaches.map((reach) => ({ ...later, filling, reach })));
  return [...offline, ...PLACEMENTS.map((placement) => ({ ...way, placement }))];
}

const FIRST_FIT: Placement = { fit: 'first', apart: false };
/** Tried alone where the floor of a large program is looked for. */
const SIMPLEST: Placement = PLACEMENTS[1];
const GROWING: Placement = { fit: 'growing', apart: false };
const LATER: Placement = { fit: 'later', apart: false };

function waysToSave(program: MemoryProgram, policy: MemoryPolicy, budget: number): Way[] {
  if (policy === 'liveness') return [];
  return awayChoices(program, policy, budget).flatMap((away) => waysToPlace(program, { by: policy, away }));
}

/** Sets of weights and state that may lie in the spill between iterations, none first where the budget has room for them. */
function awayChoices(
  { storages, operations, keepsPinned }: MemoryProgram,
  policy: MemoryPolicy,
  budget: number,
): readonly ReadonlySet<number>[] {
  const none = new Set<number>();
  const pinned = storages.reduce((sum, storage) => sum + (storage.pinned ? storage.bytes : 0), 0);
  const few = operations.length <= FEW_OPERATIONS;
  if (keepsPinned || (policy !== 'offload' && policy !== 'auto') || (!few && pinned < PINNED_SHARE * budget)) return [none];
  const all = new Set(storages.flatMap((storage, id) => (storage.pinned && storage.bytes > SMALL_PINNED ? [id] : [])));
  return !few && pinned > budget / 2 ? [all] : [none, all];
}

/** A pool in which nothing has to leave: the most that is live at once, and what lies fallow between. */
export function leastPool(program: MemoryProgram): number {
  const { peakBytes, poolBytes } = scheduleWithin(program, UNLIMITED, 'liveness', FIRST_FIT);
  // First fit chooses the same places in a pool that ends where it came to.
  if (program.operations.length > FEW_OPERATIONS && poolBytes <= (1 + PRECISION) * peakBytes) return poolBytes;
  return bisect(peakBytes, 2 * peakBytes, (budget) => expectToFit(program, 'liveness', budget)).bytes;
}

export interface Floor {
  /** A budget that suffices. Plans are looked for longer than it is, and may be found below it: a sixth in one case. */
  readonly bytes: number;
  /** Layer that sets it, and its operator. */
  readonly layer: string;
  readonly operation: string;
}

/** The least budget of a policy: between what one operation needs, or what a schedule without places does, and what keeping everything needs. */
export function memoryFloor(program: MemoryProgram, policy: MemoryPolicy): Floor {
  const most = leastPool(program);
  const { bytes, limit } =
    program.operations.length > FEW_OPERATIONS
      ? climb(leastCounted(program, policy), most, (budget) => expectToFit(program, floorPolicy(program, policy), budget))
      : bisect(largestNeed(program), most, (budget) => expectToFit(program, policy, budget));
  const at = limit ?? program.operations[0];
  return { bytes, layer: at?.layer ?? '', operation: at?.name ?? '' };
}

function largestNeed({ operations, storages }: MemoryProgram): number {
  const needOf = ({ reads, writes, workspace }: Operation): number =>
    [...new Set([...reads, ...writes, workspace])].reduce((n: number, id) => n + (id === undefined ? 0 : (storages[id]?.bytes ?? 0)), 0);
  return operations.reduce((most, operation) => Math.max(most, needOf(operation)), 0);
}

/** The policy whose schedules tell a policy's floor: of a large program offloading alone for 'auto', which tries it, too. */
export const floorPolicy = ({ operations }: MemoryProgram, policy: MemoryPolicy): MemoryPolicy =>
  policy === 'auto' && operations.length > FEW_OPERATIONS ? 'offload' : policy;

/** Bytes to which a schedule without places grows a budget that is far too small. */
function leastCounted(program: MemoryProgram, policy: MemoryPolicy): number {
  const by = floorPolicy(program, policy);
  const choices = awayChoices(program, by, 0);
  return scheduleWithin(program, 0, by, GROWING, choices.at(-1)).poolBytes;
}

/** Goes up from a bound in growing steps and then back by halves: few trials where the bound is good. */
function climb(from: number, most: number, check: (budget: number) => void): { bytes: number; limit: Operation | undefined } {
  const failing: Operation[] = [];
  const fits = (budget: number): boolean => {
    try {
      check(budget);
      return true;
    } catch (error) {
      if (!(error instanceof BudgetTooSmall)) throw error;
      failing.push(error.operation);
      return false;
    }
  };
  let [low, high, step] = [from, Math.ceil(from * (1 + CLIMB)), CLIMB];
  while (high < most && !fits(high)) [low, high, step] = [high, Math.ceil(high * (1 + 2 * step)), 2 * step];
  high = Math.min(high, most);
  while (high > (1 + CLIMB) * low) {
    const middle = Math.ceil(Math.sqrt(low * high));
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return { bytes: high, limit: failing.at(-1) };
}

function bisect(from: number, to: number, check: (budget: number) => void): { bytes: number; limit: Operation | undefined } {
  let [low, high] = [from, to];
  let limit: Operation | undefined;
  while (high - low > PRECISION * high) {
    const middle = Math.floor((low + high) / 2);
    try {
      check(middle);
      high = middle;
    } catch (error) {
      if (!(error instanceof BudgetTooSmall)) throw error;
      limit = error.operation;
      low = middle;
    }
  }
  return { bytes: high, limit };
}

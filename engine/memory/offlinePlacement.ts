import { Random } from '../graph/random';
import { BLOCK_BYTES, blocksOf } from './pool';
import type { MemoryProgram } from './program';
import type { Schedule, Step } from './schedule';

/** A stretch of memory from one step of a schedule to another, whatever storages lie in it in turn. */
interface Stay {
  readonly from: number;
  to: number;
  readonly blocks: number;
  offset: number;
}

/** The order in which stays get their places: each decides by other rules which ones fit between which. */
const ORDERS: readonly ((a: Stay, b: Stay) => number)[] = [
  (a, b) => b.blocks - a.blocks || b.to - b.from - (a.to - a.from),
  (a, b) => b.blocks * (b.to - b.from) - a.blocks * (a.to - a.from),
  (a, b) => b.to - b.from - (a.to - a.from) || b.blocks - a.blocks,
];

/** Comparisons of stays that improving an order may take, and attempts. */
const EFFORT = 1e6;
const MOST_ATTEMPTS = 30;

/**
 * The same schedule with offsets that are chosen in the knowledge of all its stays: the largest, the longest or both first, each in
 * the tightest gap that is free as long as it stays (greedy by size, Pisarchyk and Lee 2020, "Efficient memory management for deep
 * neural net inference"). While this takes more than `budget` bytes, what came to lie highest gets its place earlier, and in the best
 * order so far by a drawn number of places once the usual attempts are over.
 *
 * @param patience how many times the usual attempts are made
 */
export function placeOffline(program: MemoryProgram, schedule: Schedule, budget: number, patience = 1): Schedule {
  const stays = staysOf(program, schedule.steps);
  const enough = Math.floor(budget / BLOCK_BYTES);
  const usual = Math.min(MOST_ATTEMPTS, Math.ceil(EFFORT / stays.size ** 2));
  const attempts = Math.ceil(patience * usual);
  let extent = Infinity;
  let offsets = new Map<number, number>();
  const random = new Random(stays.size);
  for (const compare of ORDERS) {
    let order = [...stays.values()].sort(compare);
    let best = { order, end: Infinity, at: 0 };
    for (let attempt = 0; attempt < attempts && extent > enough; attempt++) {
      const highest = placeAll(order);
      if (highest.end <= best.end) best = { order, ...highest };
      if (highest.end < extent) {
        extent = highest.end;
        offsets = new Map([...stays].map(([at, { offset }]) => [at, offset * BLOCK_BYTES]));
      }
      const [base, from, to] = attempt < usual ? [order, highest.at, highest.at >> 1] : [best.order, best.at, random.integer(best.at)];
      order = [...base];
      order.splice(to, 0, ...order.splice(from, 1));
    }
  }
  const steps = schedule.steps.map((step, at): Step => (step.kind === 'allocate' ? { ...step, offset: offsets.get(at) as number } : step));
  return { ...schedule, steps, poolBytes: extent * BLOCK_BYTES };
}

/** By the step that allocates. What takes another's place prolongs its stay. */
function staysOf({ storages }: MemoryProgram, steps: readonly Step[]): Map<number, Stay> {
  const stays = new Map<number, Stay>();
  const current = new Map<number, Stay>();
  steps.forEach((step, at) => {
    if (step.kind === 'allocate') {
      const stay = { from: at, to: Infinity, blocks: Math.max(1, blocksOf(storages[step.storage]?.bytes ?? 0)), offset: 0 };
      stays.set(at, stay);
      current.set(step.storage, stay);
    } else if (step.kind === 'replace') {
      current.set(step.to, current.get(step.from) as Stay);
      current.delete(step.from);
    } else if (step.kind === 'free') {
      (current.get(step.storage) as Stay).to = at;
      current.delete(step.storage);
    }
  });
  for (const stay of current.values()) stay.to = steps.length;
  return stays;
}

/** @returns where the highest ends, in blocks, and its position in the order */
function placeAll(stays: readonly Stay[]): { end: number; at: number } {
  const placed: Stay[] = [];
  let highest = { end: 0, at: 0 };
  stays.forEach((stay, at) => {
    stay.offset = tightestGap(placed, stay);
    const end = stay.offset + stay.blocks;
    if (end > highest.end) highest = { end, at };
    placed.splice(firstAbove(placed, stay.offset), 0, stay);
  });
  return highest;
}

/** @param placed by offset */
function tightestGap(placed: readonly Stay[], { from, to, blocks }: Stay): number {
  let [end, gap, at] = [0, Infinity, -1];
  for (const other of placed) {
    if (other.from >= to || other.to <= from) continue;
    const room = other.offset - end;
    if (room >= blocks && room < gap) [gap, at] = [room, end];
    end = Math.max(end, other.offset + other.blocks);
  }
  return at < 0 ? end : at;
}

function firstAbove(placed: readonly Stay[], offset: number): number {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((placed[middle] as Stay).offset <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

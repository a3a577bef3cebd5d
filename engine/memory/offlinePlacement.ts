import { Random } from '../graph/random';
import { BLOCK_BYTES, blocksOf } from './pool';
import type { MemoryProgram } from './program';
import type { Schedule, Step } from './schedule';

/** A stretch of memory from one step of a schedule to another, whatever storages lie in it in turn. */
interface Stay {
  readonly from: number;
  to: number;
  readonly blocks: number;
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

/** How far above the budget the usual attempts may end, as a part, for more of them to be worth while. */
const NEAR = 1.08;

/**
 * The same schedule with offsets that are chosen in the knowledge of all its stays: the largest, the longest or both first, each in
 * the tightest gap that is free as long as it stays (greedy by size, Pisarchyk and Lee 2020, "Efficient memory management for deep
 * neural net inference"). While this takes more than `budget` bytes, what came to lie highest gets its place earlier; once the usual
 * attempts are over and came near, so does by turns that and one drawn, by a drawn number of places, in the best orders so far.
 *
 * @param patience how many times the usual attempts are made
 */
export function placeOffline(program: MemoryProgram, schedule: Schedule, budget: number, patience = 1): Schedule {
  const staysByStep = staysOf(program, schedule.steps);
  const stays = [...staysByStep.values()];
  const enough = Math.floor(budget / BLOCK_BYTES);
  const usual = Math.min(MOST_ATTEMPTS, Math.ceil(EFFORT / stays.length ** 2));
  const found: Placed[] = [];
  for (const compare of ORDERS) if (leastOf(found).end > enough) found.push(usualPlaces(stays, compare, enough, usual));
  const further = patience > 1 && leastOf(found).end <= NEAR * enough ? (patience - 1) * usual : 0;
  for (const placed of [...found]) if (leastOf(found).end > enough) found.push(improved(stays, placed, enough, further));
  const { offsets, end } = leastOf(found);
  const place = new Map([...staysByStep.keys()].map((at, i) => [at, (offsets[i] as number) * BLOCK_BYTES]));
  const steps = schedule.steps.map((step, at): Step => (step.kind === 'allocate' ? { ...step, offset: place.get(at) as number } : step));
  return { ...schedule, steps, poolBytes: end * BLOCK_BYTES };
}

/** By the step that allocates. What takes another's place prolongs its stay. */
function staysOf({ storages }: MemoryProgram, steps: readonly Step[]): Map<number, Stay> {
  const stays = new Map<number, Stay>();
  const current = new Map<number, Stay>();
  steps.forEach((step, at) => {
    if (step.kind === 'allocate') {
      const stay = { from: at, to: steps.length, blocks: Math.max(1, blocksOf(storages[step.storage]?.bytes ?? 0)) };
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
  return stays;
}

/** Stays with their places. */
interface Placed {
  /** In which they got them. */
  readonly order: readonly number[];
  /** By stay, in blocks. */
  readonly offsets: Int32Array;
  /** Where the highest ends, and its position in the order. */
  readonly end: number;
  readonly at: number;
}

const leastOf = (found: readonly Placed[]): Placed => found.reduce((a, b) => (b.end < a.end ? b : a), NOWHERE);

const NOWHERE: Placed = { order: [], offsets: new Int32Array(), end: Infinity, at: 0 };

/** The best places of a few orders, each with what came to lie highest before moved halfway to the front. */
function usualPlaces(stays: readonly Stay[], compare: (a: Stay, b: Stay) => number, enough: number, attempts: number): Placed {
  let last = placeAll(
    stays,
    [...stays.keys()].sort((a, b) => compare(stays[a] as Stay, stays[b] as Stay)),
  );
  let best = last;
  for (let attempt = 1; attempt < attempts && best.end > enough; attempt++) {
    last = placeAgain(stays, last, last.at >> 1);
    if (last.end <= best.end) best = last;
  }
  return best;
}

/** The best places of many orders near one. */
function improved(stays: readonly Stay[], from: Placed, enough: number, attempts: number): Placed {
  const random = new Random(stays.length);
  let best = from;
  for (let attempt = 0; attempt < attempts && best.end > enough; attempt++) {
    const at = attempt % 2 === 0 ? best.at : random.integer(stays.length);
    const next = placeAgain(stays, { ...best, at }, random.integer(at), best.end);
    if (next.end <= best.end) best = next;
  }
  return best;
}

const placeAll = (stays: readonly Stay[], order: readonly number[]): Placed => placeFrom(stays, order, 0, new Int32Array(stays.length));

/** With what came to lie highest at another position of the order; those before it keep their places. Ends early beyond `most` blocks. */
function placeAgain(stays: readonly Stay[], { order, offsets, at }: Placed, to: number, most = Infinity): Placed {
  const changed = [...order];
  changed.splice(to, 0, ...changed.splice(at, 1));
  return placeFrom(stays, changed, to, offsets.slice(), most);
}

function placeFrom(stays: readonly Stay[], order: readonly number[], start: number, offsets: Int32Array, most = Infinity): Placed {
  const byOffset = order.slice(0, start).sort((a, b) => (offsets[a] as number) - (offsets[b] as number));
  const gaps = new Gaps(stays, byOffset, offsets);
  let highest = { end: 0, at: 0 };
  const note = (position: number): void => {
    const stay = order[position] as number;
    const end = (offsets[stay] as number) + (stays[stay] as Stay).blocks;
    if (end > highest.end) highest = { end, at: position };
  };
  for (let position = 0; position < start; position++) note(position);
  for (let position = start; position < order.length && highest.end <= most; position++) {
    const stay = order[position] as number;
    offsets[stay] = gaps.take(stays[stay] as Stay);
    note(position);
  }
  return { order, offsets, ...highest };
}

/** Stays by offset, as columns: most of the time of planning is spent in looking through them. */
class Gaps {
  private readonly from: Int32Array;
  private readonly to: Int32Array;
  private readonly offset: Int32Array;
  private readonly end: Int32Array;
  private count: number;

  constructor(stays: readonly Stay[], byOffset: readonly number[], offsets: Int32Array) {
    const column = (read: (stay: Stay, offset: number) => number): Int32Array => {
      const values = new Int32Array(stays.length);
      byOffset.forEach((stay, i) => (values[i] = read(stays[stay] as Stay, offsets[stay] as number)));
      return values;
    };
    this.from = column(({ from }) => from);
    this.to = column(({ to }) => to);
    this.offset = column((_, offset) => offset);
    this.end = column(({ blocks }, offset) => offset + blocks);
    this.count = byOffset.length;
  }

  /** @returns the offset of the tightest gap that is free as long as the stay lasts, or else of what lies above all then */
  take(stay: Stay): number {
    const offset = this.tightest(stay);
    const at = this.firstAbove(offset);
    for (const [column, value] of [
      [this.from, stay.from],
      [this.to, stay.to],
      [this.offset, offset],
      [this.end, offset + stay.blocks],
    ] as const) {
      column.copyWithin(at + 1, at, this.count);
      column[at] = value;
    }
    this.count++;
    return offset;
  }

  private tightest(stay: Stay): number {
    const { from, to, offset, end, count } = this;
    let top = 0;
    let least = Infinity;
    let place = -1;
    for (let i = 0; i < count; i++) {
      if ((from[i] as number) >= stay.to || (to[i] as number) <= stay.from) continue;
      const room = (offset[i] as number) - top;
      if (room >= stay.blocks && room < least) {
        least = room;
        place = top;
      }
      top = Math.max(top, end[i] as number);
    }
    return place < 0 ? top : place;
  }

  private firstAbove(offset: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.offset[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

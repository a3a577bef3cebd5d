import { heldBytes } from './pool';
import type { MemoryProgram, Phase, Storage, StorageKind } from './program';
import type { Schedule } from './schedule';

/** Bytes while one operation of the schedule runs. */
export interface TimelinePoint {
  readonly operation: string;
  readonly layer: string;
  readonly phase: Phase | 'recompute';
  readonly bytes: Readonly<Record<StorageKind, number>>;
  /** In the spill, not in the pool, and needed again. */
  readonly offloaded: number;
  /** Largest storages alive, pinned ones left out. */
  readonly alive: readonly { readonly name: string; readonly bytes: number; readonly kind: StorageKind }[];
}

/**
 * What the pool holds, by kind, at every operation of an iteration.
 * @param taken bytes that a storage takes: whole blocks of a pool, or what it has where every storage has memory of its own
 */
export function timelineOf(
  { storages, operations }: MemoryProgram,
  { steps, homes }: Schedule,
  taken: (bytes: number) => number = heldBytes,
): TimelinePoint[] {
  const bytes: Record<StorageKind, number> = { weights: 0, optimiser: 0, inputs: 0, activations: 0, gradients: 0, workspace: 0 };
  const away = new Set<number>();
  let offloaded = 0;
  const points: TimelinePoint[] = [];
  const count = (id: number, sign: 1 | -1): void => {
    const storage = storages[id];
    if (storage) bytes[storage.kind] += sign * taken(storage.bytes);
  };
  const leave = (id: number, isAway: boolean): void => {
    if (isAway === away.has(id)) return;
    offloaded += (isAway ? 1 : -1) * (storages[id]?.bytes ?? 0);
    if (isAway) away.add(id);
    else away.delete(id);
  };
  const lastFetch = new Map(steps.flatMap((step, at) => (step.kind === 'fetch' ? [[step.storage, at] as const] : [])));
  for (const id of homes.keys()) leave(id, true);
  const alive = new AliveStorages(storages);
  steps.forEach((step, at) => {
    if (step.kind === 'allocate') {
      count(step.storage, 1);
      alive.add(step.storage);
      leave(step.storage, false);
    } else if (step.kind === 'free') {
      count(step.storage, -1);
      alive.delete(step.storage);
      leave(step.storage, homes.has(step.storage) || (lastFetch.get(step.storage) ?? -1) > at);
    } else if (step.kind === 'replace') {
      count(step.from, -1);
      count(step.to, 1);
      alive.delete(step.from);
      alive.add(step.to);
    } else if (step.kind === 'run') {
      const { name, layer, phase } = operations[step.operation] as (typeof operations)[number];
      points.push({
        operation: name,
        layer,
        phase: step.only === undefined ? phase : 'recompute',
        bytes: { ...bytes },
        offloaded,
        alive: alive.largest(),
      });
    }
  });
  return points;
}

/** How many storages a point names. */
const NAMED = 6;

/** Storages alive that may leave the pool, by size. */
class AliveStorages {
  private readonly bySize = new Map<number, Set<number>>();
  /** From large to small. */
  private readonly sizes: readonly number[];

  constructor(private readonly storages: MemoryProgram['storages']) {
    this.sizes = [...new Set(storages.map(({ bytes }) => bytes))].sort((a, b) => b - a);
    for (const size of this.sizes) this.bySize.set(size, new Set());
  }

  add(id: number): void {
    const storage = this.storages[id];
    if (storage && !storage.pinned) this.bySize.get(storage.bytes)?.add(id);
  }

  delete(id: number): void {
    this.bySize.get(this.storages[id]?.bytes ?? -1)?.delete(id);
  }

  largest(): TimelinePoint['alive'] {
    const top: { name: string; bytes: number; kind: StorageKind }[] = [];
    for (const size of this.sizes)
      for (const id of this.bySize.get(size) ?? []) {
        const { name, bytes, kind } = this.storages[id] as Storage;
        if (top.push({ name, bytes, kind }) === NAMED) return top;
      }
    return top;
  }
}

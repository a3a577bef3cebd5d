import type { Fit } from './segments';
import { Pool } from './pool';

/** Moves that a miss or an eviction causes; `stored` tells the cache whether the external copy is already valid. */
export interface CacheTraffic {
  offload(id: number, bytes: number): void;
  prefetch(id: number, bytes: number): void;
}

interface Entry {
  readonly bytes: number;
  locks: number;
  /** The external pool holds the same bytes, so that an eviction moves nothing. */
  stored: boolean;
}

/**
 * The tensor cache (SuperNeurons, algorithm 2): tensors stay in the pool until room is needed; then the least recently used one
 * that no running layer has locked goes to the external pool. A tensor whose external copy is valid is dropped without traffic.
 */
export class TensorCache {
  readonly #pool: Pool;
  /** From least to most recently used (a Map keeps the order of insertion). */
  readonly #resident = new Map<number, Entry>();
  readonly #external = new Map<number, number>();

  constructor(
    capacity: number,
    private readonly traffic: CacheTraffic,
    fit: Fit = 'first',
  ) {
    this.#pool = new Pool(capacity, fit);
  }

  get usedBytes(): number {
    return this.#pool.usedBytes;
  }

  isResident(id: number): boolean {
    return this.#resident.has(id);
  }

  /**
   * Makes a tensor resident, most recently used and locked: a hit, the return of an evicted one, or a new one.
   * @returns its offset in the pool
   * @throws RangeError when everything that is left is locked
   */
  acquire(id: number, bytes: number): number {
    const entry = this.#resident.get(id);
    if (entry) {
      entry.locks++;
      this.#resident.delete(id);
      this.#resident.set(id, entry);
      return this.#pool.offsetOf(id) as number;
    }
    const offset = this.#makeRoom(id, bytes);
    const stored = this.#external.has(id);
    if (stored) this.traffic.prefetch(id, bytes);
    this.#resident.set(id, { bytes, locks: 1, stored });
    return offset;
  }

  /** Ends a use; `changed` says that the layer wrote the tensor, which makes an external copy stale. */
  release(id: number, changed = false): void {
    const entry = this.#resident.get(id);
    if (!entry || entry.locks === 0) throw new RangeError(`Tensor ${id} is not in use`);
    entry.locks--;
    if (changed) entry.stored = false;
  }

  /** Forgets a tensor that nothing needs any more. */
  drop(id: number): void {
    if (this.#resident.delete(id)) this.#pool.free(id);
    this.#external.delete(id);
  }

  /** Evicts until a segment fits: freed bytes may lie apart, so the allocation is tried again after each eviction. */
  #makeRoom(id: number, bytes: number): number {
    for (;;) {
      const offset = this.#pool.allocate(id, bytes);
      if (offset !== undefined) return offset;
      const victim = this.#leastRecent();
      if (victim === undefined) throw new RangeError(`Tensor ${id} of ${bytes} bytes does not fit: every resident tensor is in use`);
      this.#evict(victim);
    }
  }

  #leastRecent(): number | undefined {
    for (const [id, entry] of this.#resident) if (entry.locks === 0) return id;
    return undefined;
  }

  #evict(id: number): void {
    const entry = this.#resident.get(id) as Entry;
    if (!entry.stored) this.traffic.offload(id, entry.bytes);
    this.#external.set(id, entry.bytes);
    this.#resident.delete(id);
    this.#pool.free(id);
  }
}

import type { MeasuredMemory } from '../contract/memory';

interface Transfer {
  readonly moved: Promise<void>;
  /** When it was over, by the clock of `performance`. */
  ended?: number;
}

/** Copies between the pool and another tier that are under way, by storage, and how much of their time computing waited for them. */
export class Transfers {
  readonly #pending = new Map<number, Transfer>();
  #underWay = 0;
  #since = 0;
  #busyMs = 0;
  #waitedMs = 0;
  #bytes = 0;

  /** Since the last `reset`. Every wait lies within the time of a transfer, so that no more is waited than transferred. */
  get measured(): Omit<MeasuredMemory, 'peakBytes'> {
    return { trafficBytes: this.#bytes, transferSeconds: this.#busyMs / 1000, waitedSeconds: this.#waitedMs / 1000 };
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  reset(): void {
    [this.#busyMs, this.#waitedMs, this.#bytes] = [0, 0, 0];
  }

  begin(storage: number, bytes: number, copy: Promise<void>): void {
    if (this.#underWay++ === 0) this.#since = performance.now();
    this.#bytes += bytes;
    const moved = copy.finally(() => this.#end(transfer));
    const transfer: Transfer = { moved };
    // Whoever waits for it is told of a failure, even if that is later.
    moved.catch(() => undefined);
    this.#pending.set(storage, transfer);
  }

  /** Waits until the transfer of a storage is over; undefined when there is none. */
  finish(storage: number): Promise<void> | undefined {
    const transfer = this.#pending.get(storage);
    if (!transfer) return undefined;
    this.#pending.delete(storage);
    return transfer.ended === undefined ? this.#wait(transfer) : transfer.moved;
  }

  /** Waits for all of them, however they end. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#pending.values()].map(({ moved }) => moved));
    this.#pending.clear();
  }

  async #wait(transfer: Transfer): Promise<void> {
    const started = performance.now();
    try {
      await transfer.moved;
    } finally {
      this.#waitedMs += (transfer.ended ?? started) - started;
    }
  }

  #end(transfer: Transfer): void {
    transfer.ended = performance.now();
    if (--this.#underWay === 0) this.#busyMs += transfer.ended - this.#since;
  }
}

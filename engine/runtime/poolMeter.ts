import type { PoolTrace } from '../contract/memory';

/** Operators that end within this of each other are told as one point, with the most that the pool held. */
const RESOLUTION_MS = 4;
/** Between two messages. */
const INTERVAL_MS = 100;

/** Counts what a run has allocated in a pool while it runs, and tells it at a bounded rate. */
export class PoolMeter {
  #used = 0;
  #peak = 0;
  #started = 0;
  #told = -Infinity;
  #hasToldOfRun = false;
  #tell: ((trace: PoolTrace) => void) | undefined;
  #ms: number[] = [];
  #bytes: number[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Most bytes that were allocated at once since the run started. */
  get peakBytes(): number {
    return this.#peak;
  }

  start(tell?: (trace: PoolTrace) => void): void {
    [this.#used, this.#peak, this.#tell, this.#hasToldOfRun] = [0, 0, tell, false];
    this.#started = this.now();
    this.#clear();
  }

  hold(bytes: number): void {
    this.#used += bytes;
    this.#peak = Math.max(this.#peak, this.#used);
  }

  release(bytes: number): void {
    this.#used -= bytes;
  }

  /** An operator has run. */
  mark(): void {
    if (!this.#tell) return;
    const now = this.now();
    const ms = now - this.#started;
    const last = this.#ms.length - 1;
    if (last >= 0 && ms - (this.#ms[last] as number) < RESOLUTION_MS) this.#bytes[last] = Math.max(this.#bytes[last] as number, this.#used);
    else {
      this.#ms.push(ms);
      this.#bytes.push(this.#used);
    }
    if (now - this.#told >= INTERVAL_MS) this.#send(now, false);
  }

  /** The run has ended. A run that is over before the next message is due is told of as a whole or not at all. */
  end(): void {
    const now = this.now();
    if (this.#hasToldOfRun || now - this.#told >= INTERVAL_MS) this.#send(now, true);
    this.#tell = undefined;
  }

  #send(now: number, isLast: boolean): void {
    const { length } = this.#ms;
    if (!this.#tell || (length === 0 && !isLast)) return;
    this.#tell({ ms: this.#ms, bytes: this.#bytes, isFirst: !this.#hasToldOfRun, isLast, stepMs: now - this.#started });
    [this.#told, this.#hasToldOfRun] = [now, true];
    this.#clear();
  }

  #clear(): void {
    [this.#ms, this.#bytes] = [[], []];
  }
}

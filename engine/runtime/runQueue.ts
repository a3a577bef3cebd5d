import { SurgeryError } from '../graph/errors';

/** Runs tasks one after another, and lets go of what they use once the last has ended. */
export class RunQueue {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #release: (() => void) | undefined;

  constructor(private readonly owner: string) {}

  get busy(): boolean {
    return this.#pending > 0;
  }

  /** @throws SurgeryError 'runtime-failed' after `close`. */
  async add<T>(task: () => Promise<T>): Promise<T> {
    if (this.#release) throw new SurgeryError('runtime-failed', `${this.owner} was disposed and cannot run`);
    this.#pending++;
    const result = this.#last.then(task);
    this.#last = result.then(
      () => this.#done(),
      () => this.#done(),
    );
    return result;
  }

  /** Refuses further tasks and calls `release` once, when those under way have ended. */
  close(release: () => void): void {
    if (this.#release) return;
    this.#release = release;
    if (this.#pending === 0) release();
  }

  #done(): void {
    if (--this.#pending === 0) this.#release?.();
  }
}

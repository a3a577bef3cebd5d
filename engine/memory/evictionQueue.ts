import TinyQueue from 'tinyqueue';

/** What lies in the pool, by when it is needed next. */
export class EvictionQueue {
  /** When it is needed next and which it is, in one number, of those that are or were in the pool. */
  private readonly large = new TinyQueue<number>([], greaterFirst);
  private readonly small = new TinyQueue<number>([], greaterFirst);
  /** By storage; NaN when it is not in the pool. */
  private readonly current: Float64Array;

  /** @param isSmall whether a storage leaves only when no other is left */
  constructor(
    private readonly storages: number,
    private readonly operations: number,
    private readonly isSmall: (id: number) => boolean,
  ) {
    this.current = new Float64Array(storages).fill(NaN);
  }

  /** A storage lies in the pool and is needed next by operation `next`. */
  note(id: number, next: number): void {
    if (this.current[id] === next) return;
    this.current[id] = next;
    if (next >= 0) (this.isSmall(id) ? this.small : this.large).push(Math.min(next, this.operations) * this.storages + id);
  }

  forget(id: number): void {
    this.current[id] = NaN;
  }

  /** The first answer for a storage needed after operation `now`, those needed last asked first. */
  furthest<T>(now: number, ask: (id: number, next: number) => T | undefined): T | undefined {
    return this.search(this.large, now, ask) ?? this.search(this.small, now, ask);
  }

  private search<T>(queue: TinyQueue<number>, now: number, ask: (id: number, next: number) => T | undefined): T | undefined {
    const passed: number[] = [];
    let answer: T | undefined;
    for (let entry = queue.peek(); answer === undefined && entry !== undefined; entry = queue.peek()) {
      const id = entry % this.storages;
      const next = this.current[id] as number;
      if (Math.floor(entry / this.storages) <= now) break;
      queue.pop();
      if (Math.min(next, this.operations) * this.storages + id !== entry) continue;
      passed.push(entry);
      answer = ask(id, next);
    }
    for (const entry of passed) queue.push(entry);
    return answer;
  }
}

const greaterFirst = (a: number, b: number): number => b - a;

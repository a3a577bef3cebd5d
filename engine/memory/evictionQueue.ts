import TinyQueue from 'tinyqueue';

interface Entry {
  readonly id: number;
  readonly next: number;
}

/** What lies in the pool, by when it is needed next. */
export class EvictionQueue {
  private readonly large = new TinyQueue<Entry>([], laterFirst);
  private readonly small = new TinyQueue<Entry>([], laterFirst);
  private readonly current = new Map<number, number>();

  /** @param isSmall whether a storage leaves only when no other is left */
  constructor(private readonly isSmall: (id: number) => boolean) {}

  /** A storage lies in the pool and is needed next by operation `next`. */
  note(id: number, next: number): void {
    if (this.current.get(id) === next) return;
    this.current.set(id, next);
    (this.isSmall(id) ? this.small : this.large).push({ id, next });
  }

  forget(id: number): void {
    this.current.delete(id);
  }

  /** The first answer for a storage needed after operation `now`, those needed last asked first. */
  furthest<T>(now: number, ask: (id: number, next: number) => T | undefined): T | undefined {
    return this.search(this.large, now, ask) ?? this.search(this.small, now, ask);
  }

  private search<T>(queue: TinyQueue<Entry>, now: number, ask: (id: number, next: number) => T | undefined): T | undefined {
    const passed: Entry[] = [];
    let answer: T | undefined;
    for (let entry = queue.peek(); answer === undefined && entry && entry.next > now; entry = queue.peek()) {
      queue.pop();
      if (this.current.get(entry.id) !== entry.next) continue;
      passed.push(entry);
      answer = ask(entry.id, entry.next);
    }
    for (const entry of passed) queue.push(entry);
    return answer;
  }
}

const laterFirst = (a: Entry, b: Entry): number => (a.next === b.next ? 0 : b.next - a.next);

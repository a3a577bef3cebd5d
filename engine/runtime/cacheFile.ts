import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** What was measured on this machine, kept in the user's cache folder as JSON; it holds for one `key` only. */
export class CacheFile<T> {
  constructor(private readonly name: string) {}

  get path(): string {
    const home = process.platform === 'win32' ? process.env.LOCALAPPDATA : process.env.XDG_CACHE_HOME;
    return path.join(home ?? path.join(os.homedir(), '.cache'), 'scalpel', this.name);
  }

  read(key: string): T | undefined {
    try {
      const cached = JSON.parse(readFileSync(this.path, 'utf8')) as { key: string; value: T };
      return cached.key === key ? cached.value : undefined;
    } catch {
      return undefined;
    }
  }

  /** A cache that cannot be written costs a measurement the next time, nothing else. */
  write(key: string, value: T): void {
    try {
      mkdirSync(path.dirname(this.path), { recursive: true });
      writeFileSync(`${this.path}.${process.pid}`, JSON.stringify({ key, value }, undefined, 1));
      renameSync(`${this.path}.${process.pid}`, this.path);
    } catch {
      return;
    }
  }
}

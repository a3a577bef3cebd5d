import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** Results of a comparison, one JSON object a line, so that an interrupted comparison goes on. */
export class ResultsFile<R extends object> {
  constructor(private readonly file: string) {}

  read(): R[] {
    if (!existsSync(this.file)) return [];
    const lines = readFileSync(this.file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as R);
  }

  /** The result that has the key's properties; made, written and told when there is none yet. */
  async once<K extends Partial<R>>(key: K, make: () => Promise<R>): Promise<R> {
    const known = this.read().find((result) => Object.entries(key).every(([name, value]) => result[name as keyof R] === value));
    if (known) return known;
    const result = await make();
    appendFileSync(this.file, `${JSON.stringify(result)}\n`);
    console.error(JSON.stringify(result));
    return result;
  }
}

/** Mean ± sample deviation of fractions, in %. */
export function spread(values: readonly number[]): string {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / Math.max(1, values.length - 1));
  return `${(100 * mean).toFixed(1)} ± ${values.length > 1 ? (100 * deviation).toFixed(1) : '?'}`;
}

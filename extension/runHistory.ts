import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TickTockCard } from '../engine/contract/tickTockPage';
import type { RunRecord } from './runRecord';

/** A line under a finished run; a click opens its file. */
export interface RunResult {
  readonly label: string;
  readonly description: string;
  readonly file?: string;
}

/** A finished run as later sessions list it. */
export interface FinishedRun {
  readonly title: string;
  /** What it wrote. */
  readonly file: string;
  readonly detail: string;
  /** ISO 8601. */
  readonly finished: string;
  readonly results: readonly RunResult[];
  /** What the page of a Tick-Tock run shows of it. */
  readonly tickTock?: { readonly record: RunRecord; readonly card: TickTockCard };
}

const MOST_RUNS = 50;

/** The latest finished runs of a workspace, the newest first, in a file that outlives the session. */
export class RunHistory {
  private readonly runs: Promise<FinishedRun[]>;
  private writing: Promise<void> = Promise.resolve();

  constructor(private readonly file: string) {
    this.runs = readRuns(file);
  }

  /** Runs whose results are still there. */
  async list(): Promise<readonly FinishedRun[]> {
    return (await this.runs).filter((run) => existsSync(run.file));
  }

  /** A run takes the place of an earlier one that wrote the same file. */
  add(run: FinishedRun): Promise<void> {
    return this.change((runs) => [run, ...runs.filter((r) => r.file !== run.file)].slice(0, MOST_RUNS));
  }

  remove(file: string): Promise<void> {
    return this.change((runs) => runs.filter((r) => r.file !== file));
  }

  private change(to: (runs: readonly FinishedRun[]) => FinishedRun[]): Promise<void> {
    this.writing = this.writing
      .catch(() => undefined)
      .then(async () => {
        const runs = await this.runs;
        runs.splice(0, runs.length, ...to(runs));
        const temporary = `${this.file}.tmp`;
        await mkdir(path.dirname(this.file), { recursive: true });
        await writeFile(temporary, JSON.stringify(runs));
        await rename(temporary, this.file);
      });
    return this.writing;
  }
}

/** None where there is no such file, or it is damaged: the results themselves lie elsewhere. */
async function readRuns(file: string): Promise<FinishedRun[]> {
  try {
    const runs: unknown = JSON.parse(await readFile(file, 'utf8'));
    return Array.isArray(runs) ? runs.filter(isRun) : [];
  } catch {
    return [];
  }
}

function isRun(value: unknown): value is FinishedRun {
  const { title, file, detail, finished, results } = (value ?? {}) as Partial<FinishedRun>;
  return [title, file, detail, finished].every((text) => typeof text === 'string') && Array.isArray(results);
}

import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { TickTockOptions, TickTockPoint } from '../engine/contract/tickTock';

/** What is needed to go on with a Tick-Tock run in another session; it lies beside the output until the run is done. */
export interface RunRecord {
  readonly version: 1;
  /** The model that was opened, and the network that the run starts from. */
  readonly file: string;
  readonly start: string;
  readonly options: TickTockOptions;
  readonly whole: { readonly macs: number; readonly parameters: number; readonly filters: number };
  readonly points: readonly TickTockPoint[];
  /** The engine that works on it. */
  readonly process?: number;
}

export const RECORD_SUFFIX = '.run.json';

export const recordFile = (output: string): string => `${output}${RECORD_SUFFIX}`;
const checkpointFile = (output: string): string => `${output}.checkpoint.npz`;

/** Copy of the network with the plan applied, where the plan has surgery. */
export const startFile = (output: string): string => `${output}.start.onnx`;

export const hasCheckpoint = (output: string): boolean => existsSync(checkpointFile(output));

export async function writeRecord(record: RunRecord): Promise<void> {
  const target = recordFile(record.options.output);
  const temporary = `${target}.tmp`;
  await writeFile(temporary, JSON.stringify(record, undefined, 2));
  await rename(temporary, target);
}

/** The record in a file; undefined when it is none, or another process still works on it. */
export async function readRecord(file: string): Promise<RunRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(file, 'utf8')) as Partial<RunRecord>;
    const isComplete = record.version === 1 && record.file && record.start && record.options?.output && record.points && record.whole;
    return isComplete && !isAlive(record.process) ? (record as RunRecord) : undefined;
  } catch {
    return undefined;
  }
}

export async function removeRecord(output: string): Promise<void> {
  for (const file of [recordFile(output), checkpointFile(output), startFile(output)]) await rm(file, { force: true });
}

function isAlive(process_: number | undefined): boolean {
  if (process_ === undefined) return false;
  try {
    return process.kill(process_, 0);
  } catch {
    return false;
  }
}

import type { MemoryKind } from '../contract/memory';

export type StorageKind = MemoryKind;

/** A stretch of memory that operations read and write; several values of a graph may be views of one. */
export interface Storage {
  readonly name: string;
  readonly bytes: number;
  readonly kind: StorageKind;
  /** Layer of the network that it belongs to. */
  readonly layer: string;
  /** Stays at one place from iteration to iteration: weights, state of the optimiser, constants. */
  readonly pinned: boolean;
}

export type Phase = 'forward' | 'backward' | 'update';

/** One operator of a training iteration. */
export interface Operation {
  readonly name: string;
  readonly layer: string;
  readonly phase: Phase;
  /** Storages, each once. */
  readonly reads: readonly number[];
  /** By output; undefined where nobody needs the output. */
  readonly writes: readonly (number | undefined)[];
  /** Storages read that the first output may overwrite, because each element depends on the same element only. */
  readonly overwritable: readonly number[];
  /** Storages read whose content does not change the first output (running statistics of a batch norm that trains). */
  readonly ignored: readonly number[];
  /** Storage that it needs beside the others while it runs, for what its kernels hold in between. */
  readonly workspace?: number;
  /** Cheap to run again, and free of effects. */
  readonly recomputable: boolean;
  /** Estimated time of one execution. */
  readonly seconds: number;
}

/** A training iteration as the planner sees it: operations in their order, whatever framework runs them. */
export interface MemoryProgram {
  readonly storages: readonly Storage[];
  readonly operations: readonly Operation[];
  /** Storages that the caller fills before the first operation, beside the pinned ones. */
  readonly inputs: readonly number[];
  /** Storages that the caller reads after the last. */
  readonly outputs: readonly number[];
  /** Pinned storages stay in the pool; else they may lie in the spill between uses. */
  readonly keepsPinned?: boolean;
}

/** Positions of the operations that read or write each storage, in rising order; -1 for what the caller fills, Infinity for what it reads. */
export function usesOf({ storages, operations, inputs, outputs }: MemoryProgram): number[][] {
  const uses = storages.map((): number[] => []);
  for (const storage of inputs) uses[storage]?.push(-1);
  operations.forEach(({ reads, writes }, at) => {
    for (const storage of new Set([...reads, ...writes])) if (storage !== undefined) uses[storage]?.push(at);
  });
  for (const storage of outputs) uses[storage]?.push(Infinity);
  return uses;
}

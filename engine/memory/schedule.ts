import type { MemoryPolicy, WorkspaceMode } from '../contract/memory';

export const MEMORY_POLICIES: readonly MemoryPolicy[] = ['none', 'liveness', 'offload', 'recompute', 'auto'];

export const WORKSPACE_MODES: readonly WorkspaceMode[] = ['fixed', 'dynamic'];

/** One step of a schedule. Offsets are bytes in the pool, positions bytes in the spill. */
export type Step =
  | { readonly kind: 'allocate'; readonly storage: number; readonly offset: number }
  | { readonly kind: 'free'; readonly storage: number }
  /** `to` takes the place of `from`, which ends; the next operation overwrites it. */
  | { readonly kind: 'replace'; readonly from: number; readonly to: number }
  /** Runs an operation; a recomputation writes `only` this storage. */
  | { readonly kind: 'run'; readonly operation: number; readonly only?: number }
  /** Begins to copy to the spill, and waits until it is there. */
  | { readonly kind: 'store'; readonly storage: number; readonly position: number }
  | { readonly kind: 'stored'; readonly storage: number }
  /** Begins to copy back, and waits until it is there. */
  | { readonly kind: 'fetch'; readonly storage: number; readonly position: number }
  | { readonly kind: 'fetched'; readonly storage: number };

export interface Schedule {
  readonly policy: MemoryPolicy;
  readonly steps: readonly Step[];
  /** Pool that the steps need, and spill. */
  readonly poolBytes: number;
  readonly spillBytes: number;
  /** Position in the spill of pinned storages that lie there between iterations. */
  readonly homes: ReadonlyMap<number, number>;
  /** Most bytes allocated at once; `poolBytes` less what lies fallow between them. */
  readonly peakBytes: number;
  readonly peakOperation: number;
  /** Bytes stored and fetched in an iteration. */
  readonly trafficBytes: number;
  readonly recomputations: number;
  readonly recomputeSeconds: number;
}

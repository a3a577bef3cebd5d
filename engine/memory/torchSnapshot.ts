import { heldBytes } from './pool';
import type { MemoryProgram } from './program';
import type { Schedule } from './schedule';

/** Where the pool begins: any address, but 0 reads as none. */
const POOL_ADDRESS = 2 ** 32;

interface Frame {
  readonly filename: string;
  readonly line: number;
  readonly name: string;
}

interface TraceEvent {
  readonly action: 'alloc' | 'free_requested' | 'free_completed' | 'segment_alloc' | 'snapshot';
  readonly addr: number;
  readonly size: number;
  readonly stream: number;
  readonly category: string;
  readonly frames: readonly Frame[];
}

interface Block {
  readonly size: number;
  readonly requested_size: number;
  readonly state: 'active_allocated' | 'inactive';
  readonly frames: readonly Frame[];
}

/** The memory of an iteration as PyTorch's allocator would tell it. */
export interface TorchSnapshot {
  readonly segments: readonly {
    readonly device: number;
    readonly address: number;
    readonly total_size: number;
    readonly allocated_size: number;
    readonly active_size: number;
    readonly stream: number;
    readonly segment_type: 'large';
    readonly blocks: readonly Block[];
  }[];
  readonly device_traces: readonly (readonly TraceEvent[])[];
}

/**
 * A schedule in the form of PyTorch's memory snapshots (`torch.cuda.memory._snapshot`), which pytorch.org/memory_viz draws: the pool is one
 * segment, every allocation and release an event at its place in it. In the place of a stack stands what the bytes are, then the operator that
 * runs next with its layer.
 */
export function torchSnapshot({ storages, operations }: MemoryProgram, { steps, poolBytes }: Schedule): TorchSnapshot {
  const offsets = new Map<number, number>();
  const events: TraceEvent[] = [];
  const nextRun = nextRunOf(steps);
  const framesOf = (storage: number, at: number): Frame[] => {
    const { name, kind, bytes } = storages[storage] as MemoryProgram['storages'][number];
    const operation = operations[nextRun[at] ?? -1];
    const what = { filename: kind, line: bytes, name };
    return operation
      ? [what, { filename: operation.layer || 'network', line: nextRun[at] ?? 0, name: `${operation.phase} ${operation.name}` }]
      : [what];
  };
  const tell = (action: TraceEvent['action'], storage: number, offset: number, at: number): void => {
    const { bytes, kind } = storages[storage] as MemoryProgram['storages'][number];
    events.push({ action, addr: POOL_ADDRESS + offset, size: heldBytes(bytes), stream: 0, category: kind, frames: framesOf(storage, at) });
  };
  const end = (storage: number, at: number): number => {
    const offset = offsets.get(storage) ?? 0;
    tell('free_requested', storage, offset, at);
    tell('free_completed', storage, offset, at);
    offsets.delete(storage);
    return offset;
  };
  const begin = (storage: number, offset: number, at: number): void => {
    offsets.set(storage, offset);
    tell('alloc', storage, offset, at);
  };
  steps.forEach((step, at) => {
    if (step.kind === 'allocate') begin(step.storage, step.offset, at);
    else if (step.kind === 'free') end(step.storage, at);
    else if (step.kind === 'replace') begin(step.to, end(step.from, at), at);
  });
  const size = heldBytes(poolBytes);
  const pool = { addr: POOL_ADDRESS, size, stream: 0, frames: [] };
  // The viewer wants a category of this name wherever there are categories.
  const opening: TraceEvent[] = [
    { ...pool, action: 'snapshot', category: 'unknown' },
    { ...pool, action: 'segment_alloc', category: 'unknown' },
  ];
  const blocks = blocksAtEnd(offsets, size, ({ storage }) => ({
    bytes: storages[storage]?.bytes ?? 0,
    frames: framesOf(storage, steps.length),
  }));
  const held = blocks.reduce((sum, block) => sum + (block.state === 'inactive' ? 0 : block.size), 0);
  const segment = { device: 0, address: POOL_ADDRESS, total_size: size, allocated_size: held, active_size: held, stream: 0 };
  return { segments: [{ ...segment, segment_type: 'large', blocks }], device_traces: [[...opening, ...events]] };
}

/** Operation that runs at or next after each step. */
function nextRunOf(steps: Schedule['steps']): Int32Array {
  const next = new Int32Array(steps.length);
  let operation = -1;
  for (let at = steps.length - 1; at >= 0; at--) {
    const step = steps[at];
    if (step?.kind === 'run') operation = step.operation;
    next[at] = operation;
  }
  return next;
}

/** The pool from its beginning to its end, with what lies fallow between. */
function blocksAtEnd(
  offsets: ReadonlyMap<number, number>,
  size: number,
  describe: (held: { storage: number }) => { bytes: number; frames: readonly Frame[] },
): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  const skipTo = (offset: number): void => {
    if (offset > at) blocks.push({ size: offset - at, requested_size: 0, state: 'inactive', frames: [] });
    at = offset;
  };
  for (const [storage, offset] of [...offsets].sort((a, b) => a[1] - b[1])) {
    skipTo(offset);
    const { bytes, frames } = describe({ storage });
    blocks.push({ size: heldBytes(bytes), requested_size: bytes, state: 'active_allocated', frames });
    at += heldBytes(bytes);
  }
  skipTo(size);
  return blocks;
}

import { type MemoryProgram, usesOf } from './program';
import { heldBytes } from './pool';
import type { Schedule } from './schedule';

/** Name of the forward node that an operation computes gradients of. */
const GRADIENT = /^grad\/(.*)\/[^/]*$/;

/**
 * Bytes that a budget leaves at the gradients of each node beside the tensors that a schedule holds then, by name of the node; what the
 * gradients themselves hold in between counts as left.
 */
export function roomOf(program: MemoryProgram, { steps }: Schedule, budget: number): Map<string, number> {
  const { operations } = program;
  const nodes = operations.map(({ name }) => GRADIENT.exec(name)?.[1]);
  const ownerOf = ownersOf(program, nodes);
  const held = new HeldBytes(program, ownerOf);
  const room = new Map<string, number>();
  for (const step of steps) {
    if (step.kind === 'allocate') held.add(step.storage, 1);
    else if (step.kind === 'free') held.add(step.storage, -1);
    else if (step.kind === 'replace') {
      held.add(step.from, -1);
      held.add(step.to, 1);
    } else if (step.kind === 'run' && step.only === undefined) {
      const node = nodes[step.operation];
      if (node !== undefined) room.set(node, Math.min(room.get(node) ?? Infinity, Math.max(0, budget - held.besides(node))));
    }
  }
  return room;
}

/** Node by storage that only operations of its gradients use. */
function ownersOf(program: MemoryProgram, nodes: readonly (string | undefined)[]): (string | undefined)[] {
  return usesOf(program).map((uses) => {
    const [first = -1] = uses;
    const node = nodes[first];
    return uses.every((at) => nodes[at] === node) ? node : undefined;
  });
}

class HeldBytes {
  private total = 0;
  private readonly own = new Map<string, number>();

  constructor(
    private readonly program: MemoryProgram,
    private readonly ownerOf: readonly (string | undefined)[],
  ) {}

  add(storage: number, sign: 1 | -1): void {
    const bytes = sign * heldBytes(this.program.storages[storage]?.bytes ?? 0);
    const owner = this.ownerOf[storage];
    this.total += bytes;
    if (owner !== undefined) this.own.set(owner, (this.own.get(owner) ?? 0) + bytes);
  }

  besides(node: string): number {
    return this.total - (this.own.get(node) ?? 0);
  }
}

import { SurgeryError } from '../../graph/errors';
import type { Node } from '../../graph/graph';
import { byteSize, elementCount } from '../../graph/tensor';
import type { LoweredGraph, ValuePlace } from '../../memory/lowerGraph';
import { heldBytes } from '../../memory/pool';
import type { Schedule, Step } from '../../memory/schedule';
import type { OperatorSession } from './operatorSessions';
import type { Frame, Session } from './session';

/** Type and shape of values. */
export interface Form extends Pick<ValuePlace, 'type' | 'dims'> {
  readonly bytes: number;
}

/** A way to call a session: calls that look alike share one. */
export interface Site {
  readonly session: Session;
  readonly frame: Frame;
}

/** First number of an action, which its arguments follow. */
export const ACTION = {
  /** Site, then form and offset of every input and output. */
  call: 0,
  /** Storage, offset, bytes, position in the spill. */
  store: 1,
  fetch: 2,
  /** Storage whose transfer must have ended. */
  await: 3,
  /** Offset, bytes. */
  poison: 4,
  /** Bytes in whole blocks. */
  hold: 5,
  release: 6,
} as const;

/** A schedule as calls on fixed places of a pool; one array of numbers, because there are hundreds for every layer of a deep network. */
export interface PoolProgram {
  readonly actions: Float64Array;
  readonly sites: readonly Site[];
  readonly forms: readonly Form[];
  /** Offset of every storage that is in the pool before the first operation, and after the last. */
  readonly startOffsets: ReadonlyMap<number, number>;
  readonly endOffsets: ReadonlyMap<number, number>;
}

/** @param opened session of every operation */
export function poolProgram(
  lowered: LoweredGraph,
  { steps }: Pick<Schedule, 'steps'>,
  opened: readonly OperatorSession[],
  poison = false,
): PoolProgram {
  return new Builder(lowered, opened, poison).build(steps);
}

class Builder {
  private readonly actions = new NumberList();
  private readonly sites: Site[] = [];
  private readonly siteIndex = new Map<string, number>();
  private readonly forms: Form[] = [];
  private readonly formIndex = new Map<string, number>();
  private readonly offsets = new Map<number, number>();

  constructor(
    private readonly lowered: LoweredGraph,
    private readonly opened: readonly OperatorSession[],
    private readonly poison: boolean,
  ) {}

  build(steps: readonly Step[]): PoolProgram {
    let startOffsets: ReadonlyMap<number, number> | undefined;
    for (const step of steps) {
      if (step.kind === 'run') startOffsets ??= new Map(this.offsets);
      this.add(step);
    }
    const { actions, sites, forms, offsets } = this;
    return { actions: actions.toArray(), sites, forms, startOffsets: startOffsets ?? new Map(), endOffsets: offsets };
  }

  private add(step: Step): void {
    switch (step.kind) {
      case 'allocate':
        this.actions.push(ACTION.hold, heldBytes(this.bytesOf(step.storage)));
        return void this.offsets.set(step.storage, step.offset);
      case 'free':
        this.actions.push(ACTION.release, heldBytes(this.bytesOf(step.storage)));
        if (this.poison) this.actions.push(ACTION.poison, this.offsetOf(step.storage), this.bytesOf(step.storage));
        return void this.offsets.delete(step.storage);
      case 'replace':
        // The operator that follows still reads the old storage at the place that it shares with the new one.
        return void this.offsets.set(step.to, this.offsetOf(step.from));
      case 'store':
      case 'fetch':
        return this.actions.push(ACTION[step.kind], step.storage, this.offsetOf(step.storage), this.bytesOf(step.storage), step.position);
      case 'stored':
      case 'fetched':
        return this.actions.push(ACTION.await, step.storage);
      case 'run':
        return this.call(step.operation, step.only);
    }
  }

  private call(index: number, only: number | undefined): void {
    const { session, inputs, outputs } = this.opened[index] as OperatorSession;
    const writes = this.lowered.program.operations[index]?.writes ?? [];
    const wanted = writes.flatMap((storage, i) => (storage !== undefined && (only === undefined || storage === only) ? [i] : []));
    this.actions.push(ACTION.call, this.siteOf(session, inputs.length, wanted));
    for (const value of inputs) this.pushPlace(value);
    for (const i of wanted) this.pushPlace(outputs[i] ?? (this.lowered.nodes[index] as Node).outputs[i] ?? '');
  }

  private siteOf(session: Session, inputs: number, outputs: readonly number[]): number {
    const key = `${session.id}:${inputs}:${outputs.join()}`;
    const known = this.siteIndex.get(key);
    if (known !== undefined) return known;
    const frame = session.frame(
      Array.from({ length: inputs }, (_, i) => `x${i}`),
      outputs.map((i) => `y${i}`),
    );
    const index = this.sites.push({ session, frame }) - 1;
    this.siteIndex.set(key, index);
    return index;
  }

  private pushPlace(value: string): void {
    const place = this.lowered.places.get(value);
    if (!place) throw new SurgeryError('internal', `Value ${value} has no storage`);
    this.actions.push(this.formOf(place), this.offsetOf(place.storage));
  }

  private formOf({ type, dims }: ValuePlace): number {
    const key = `${type}:${dims.join()}`;
    const known = this.formIndex.get(key);
    if (known !== undefined) return known;
    const index = this.forms.push({ type, dims, bytes: byteSize(type, elementCount(dims)) }) - 1;
    this.formIndex.set(key, index);
    return index;
  }

  private offsetOf(storage: number): number {
    const offset = this.offsets.get(storage);
    if (offset === undefined) throw new SurgeryError('internal', `Storage ${storage} has no place in the pool`);
    return offset;
  }

  private bytesOf(storage: number): number {
    return this.lowered.program.storages[storage]?.bytes ?? 0;
  }
}

/** Numbers that grow without one object for each. */
class NumberList {
  private data = new Float64Array(1024);
  private length = 0;

  push(...numbers: readonly number[]): void {
    if (this.length + numbers.length > this.data.length) {
      const larger = new Float64Array(Math.max(2 * this.data.length, this.length + numbers.length));
      larger.set(this.data);
      this.data = larger;
    }
    this.data.set(numbers, this.length);
    this.length += numbers.length;
  }

  toArray(): Float64Array {
    return this.data.slice(0, this.length);
  }
}

import { SurgeryError } from '../graph/errors';
import type { MemoryProgram, Operation } from './program';
import type { Schedule, Step } from './schedule';

type State = 'empty' | 'valid' | 'arriving';

interface Place {
  readonly offset: number;
  state: State;
  /** A copy to the spill reads it. */
  leaving: boolean;
}

/**
 * Plays a schedule without running anything and without the scheduler's own bookkeeping: every operation finds its inputs valid,
 * no two storages overlap, nothing is freed or overwritten while a copy is under way, everything stays within the pool, and the
 * outputs are there at the end.
 *
 * @throws SurgeryError 'internal' naming the step
 */
export function verifySchedule(program: MemoryProgram, schedule: Schedule): void {
  new Verifier(program, schedule).verify();
}

class Verifier {
  private readonly places = new Map<number, Place>();
  private readonly spill = new Map<number, { position: number; valid: boolean }>();
  private readonly done = new Set<number>();
  /** What the next operation overwrites. */
  private replaced: number | undefined;
  private at = 0;

  constructor(
    private readonly program: MemoryProgram,
    private readonly schedule: Schedule,
  ) {}

  verify(): void {
    this.schedule.steps.forEach((step, at) => {
      this.at = at;
      this.play(step);
    });
    for (const id of this.program.outputs)
      if (this.places.get(id)?.state !== 'valid') this.fail(`output ${this.nameOf(id)} is not there at the end`);
    this.program.operations.forEach((operation, i) => {
      if (!this.done.has(i)) this.fail(`operation ${operation.name} never ran`);
    });
  }

  private play(step: Step): void {
    switch (step.kind) {
      case 'allocate':
        return this.allocate(step.storage, step.offset);
      case 'free':
        this.settled(step.storage);
        return void this.places.delete(step.storage);
      case 'replace': {
        const { offset } = this.settled(step.from);
        this.expect(step.from, 'valid');
        this.places.delete(step.from);
        this.replaced = step.from;
        return void this.places.set(step.to, { offset, state: 'empty', leaving: false });
      }
      case 'run':
        return this.run(step.operation, step.only);
      case 'store':
        this.expect(step.storage, 'valid').leaving = true;
        for (const [other, copy] of this.spill)
          if (step.position < copy.position + this.storage(other).bytes && copy.position < step.position + this.storage(step.storage).bytes)
            this.fail(`${this.nameOf(step.storage)} overwrites ${this.nameOf(other)} in the spill`);
        return void this.spill.set(step.storage, { position: step.position, valid: false });
      case 'stored': {
        const copy = this.spill.get(step.storage);
        const place = this.expect(step.storage, 'valid');
        if (!copy || !place.leaving) return this.fail(`${this.nameOf(step.storage)} is awaited in the spill but was not sent`);
        copy.valid = true;
        place.leaving = false;
        return;
      }
      case 'fetch': {
        const copy = this.spill.get(step.storage);
        if (!copy?.valid || copy.position !== step.position) this.fail(`${this.nameOf(step.storage)} is fetched but not in the spill`);
        this.expect(step.storage, 'empty').state = 'arriving';
        return;
      }
      case 'fetched':
        this.expect(step.storage, 'arriving').state = 'valid';
    }
  }

  private allocate(id: number, offset: number): void {
    const { bytes, pinned } = this.storage(id);
    if (this.places.has(id)) this.fail(`${this.nameOf(id)} has two places`);
    if (offset < 0 || offset + bytes > this.schedule.poolBytes) this.fail(`${this.nameOf(id)} lies outside the pool`);
    for (const [other, place] of this.places)
      if (offset < place.offset + this.storage(other).bytes && place.offset < offset + bytes)
        this.fail(`${this.nameOf(id)} overlaps ${this.nameOf(other)}`);
    const filled = pinned || this.program.inputs.includes(id);
    this.places.set(id, { offset, state: filled && this.done.size === 0 ? 'valid' : 'empty', leaving: false });
  }

  private run(index: number, only: number | undefined): void {
    const operation = this.program.operations[index] as Operation;
    if (only === undefined && this.done.has(index)) this.fail(`operation ${operation.name} runs twice`);
    if (only !== undefined && !this.done.has(index)) this.fail(`operation ${operation.name} is recomputed before it ran`);
    for (const id of operation.reads) if (id !== this.replaced || !operation.overwritable.includes(id)) this.expect(id, 'valid');
    this.replaced = undefined;
    for (const id of operation.writes) {
      if (id === undefined || (only !== undefined && id !== only)) continue;
      const place = this.places.get(id);
      if (!place || place.leaving || place.state === 'arriving')
        return this.fail(`${operation.name} writes ${this.nameOf(id)}, which has no free place`);
      place.state = 'valid';
      this.spill.delete(id);
    }
    const { workspace } = operation;
    if (workspace !== undefined && !this.places.has(workspace)) this.fail(`${operation.name} has no workspace`);
    this.done.add(index);
  }

  private settled(id: number): Place {
    const place = this.places.get(id);
    if (!place) return this.fail(`${this.nameOf(id)} has no place`);
    if (place.leaving || place.state === 'arriving') this.fail(`${this.nameOf(id)} goes while a copy is under way`);
    return place;
  }

  private expect(id: number, state: State): Place {
    const place = this.places.get(id);
    return place?.state === state ? place : this.fail(`${this.nameOf(id)} should be ${state} and is ${place?.state ?? 'not in the pool'}`);
  }

  private storage(id: number) {
    return this.program.storages[id] as MemoryProgram['storages'][number];
  }

  private nameOf = (id: number): string => this.storage(id).name;

  private fail(reason: string): never {
    throw new SurgeryError('internal', `Step ${this.at} of the memory schedule: ${reason}`);
  }
}

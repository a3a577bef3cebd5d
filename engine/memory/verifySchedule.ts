import { SurgeryError } from '../graph/errors';
import { Intervals } from './intervals';
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
 * no two storages overlap, nothing is freed or overwritten while a copy is under way, everything stays within the pool, and at the
 * end the outputs are there and every pinned storage lies where it lay at the start.
 *
 * @throws SurgeryError 'internal' naming the step
 */
export function verifySchedule(program: MemoryProgram, schedule: Schedule): void {
  new Verifier(program, schedule).verify();
}

class Verifier {
  private readonly places = new Map<number, Place>();
  private readonly spill = new Map<number, { position: number; valid: boolean }>();
  private readonly occupied = new Intervals();
  private readonly occupiedSpill = new Intervals();
  private readonly done = new Set<number>();
  /** What the next operation overwrites. */
  private replaced: number | undefined;
  private at = 0;

  constructor(
    private readonly program: MemoryProgram,
    private readonly schedule: Schedule,
  ) {}

  verify(): void {
    for (const [id, position] of this.schedule.homes) {
      this.occupySpill(id, position);
      this.spill.set(id, { position, valid: true });
    }
    this.schedule.steps.forEach((step, at) => {
      this.at = at;
      this.play(step);
    });
    for (const id of this.program.outputs)
      if (this.places.get(id)?.state !== 'valid') this.fail(`output ${this.nameOf(id)} is not there at the end`);
    this.program.storages.forEach(({ pinned }, id) => {
      const home = this.schedule.homes.get(id);
      if (home !== undefined && !this.spill.get(id)?.valid) this.fail(`${this.nameOf(id)} is not in the spill at the end`);
      if (pinned && home === undefined && this.places.get(id)?.state !== 'valid') this.fail(`${this.nameOf(id)} has left the pool`);
    });
    this.program.operations.forEach((operation, i) => {
      if (!this.done.has(i)) this.fail(`operation ${operation.name} never ran`);
    });
  }

  private play(step: Step): void {
    switch (step.kind) {
      case 'allocate':
        return this.allocate(step.storage, step.offset);
      case 'free':
        return this.free(step.storage);
      case 'replace': {
        const { offset } = this.settled(step.from);
        this.expect(step.from, 'valid');
        this.places.delete(step.from);
        this.occupied.remove(offset);
        this.occupy(step.to, offset);
        this.replaced = step.from;
        return void this.places.set(step.to, { offset, state: 'empty', leaving: false });
      }
      case 'run':
        return this.run(step.operation, step.only);
      case 'store':
        return this.store(step.storage, step.position);
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
    this.occupy(id, offset);
    const filled = (pinned && !this.schedule.homes.has(id)) || this.program.inputs.includes(id);
    this.places.set(id, { offset, state: filled && this.done.size === 0 ? 'valid' : 'empty', leaving: false });
  }

  private free(id: number): void {
    const { offset } = this.settled(id);
    if (this.storage(id).pinned && !this.schedule.homes.has(id)) this.fail(`${this.nameOf(id)} must stay where it is`);
    this.places.delete(id);
    this.occupied.remove(offset);
  }

  private store(id: number, position: number): void {
    this.expect(id, 'valid').leaving = true;
    const home = this.schedule.homes.get(id);
    if (home === undefined) this.occupySpill(id, position);
    else if (home !== position) this.fail(`${this.nameOf(id)} goes to another place in the spill than it came from`);
    this.spill.set(id, { position, valid: false });
  }

  private occupy(id: number, offset: number): void {
    const other = this.occupied.add(id, offset, this.storage(id).bytes);
    if (other !== undefined) this.fail(`${this.nameOf(id)} overlaps ${this.nameOf(other)}`);
  }

  private occupySpill(id: number, position: number): void {
    const { bytes } = this.storage(id);
    if (position < 0 || position + bytes > this.schedule.spillBytes) this.fail(`${this.nameOf(id)} lies outside the spill`);
    const other = this.occupiedSpill.add(id, position, bytes);
    if (other !== undefined) this.fail(`${this.nameOf(id)} overwrites ${this.nameOf(other)} in the spill`);
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
      this.forgetCopy(id);
    }
    const { workspace } = operation;
    if (workspace !== undefined && !this.places.has(workspace)) this.fail(`${operation.name} has no workspace`);
    this.done.add(index);
  }

  private forgetCopy(id: number): void {
    const copy = this.spill.get(id);
    if (!copy) return;
    copy.valid = false;
    if (this.schedule.homes.has(id)) return;
    this.spill.delete(id);
    this.occupiedSpill.remove(copy.position);
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

import type { Environment } from './environment';
import type { Handle } from './library';
import type { Form } from './poolProgram';
import { valueAt } from './values';

/** Values kept from call to call; making one takes about a microsecond, so that more are not worth their memory. */
const KEPT = 4096;
/** Offsets below this, of forms below 2^53 of it, have keys of their own. */
const LARGEST_OFFSET = 2 ** 42;

/** OrtValues over places of a pool, made when they are asked for. The pool must outlive them. */
export class ValueCache {
  readonly #values = new Map<number, Handle<'value'>>();
  #extent = 0;

  constructor(
    private readonly environment: Environment,
    private readonly base: bigint,
    private readonly forms: readonly Form[],
  ) {}

  /** End of the highest place that a value was made over, in bytes from the start of the pool. */
  get extentBytes(): number {
    return this.#extent;
  }

  at(form: number, offset: number): Handle<'value'> {
    const key = form * LARGEST_OFFSET + offset;
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const shape = this.forms[form] as Form;
    const value = valueAt(this.environment, { ...shape, address: this.base + BigInt(offset) });
    this.#extent = Math.max(this.#extent, offset + shape.bytes);
    this.#values.set(key, value);
    return value;
  }

  /** Lets go of values if there are many; none may be in use. */
  trim(): void {
    if (this.#values.size > KEPT) this.release();
  }

  release(): void {
    for (const value of this.#values.values()) this.environment.library.api.ReleaseValue(value);
    this.#values.clear();
  }
}

import type { Emitter } from './opRecord';

/** Emits operators over values and numbers; shorter to read than a chain of emit calls. */
export class Calculator {
  constructor(private readonly context: Emitter) {}

  private value(x: string | number): string {
    return typeof x === 'number' ? this.context.scalar(x) : x;
  }

  add = (a: string | number, b: string | number): string => this.context.emit('Add', [this.value(a), this.value(b)]);
  sub = (a: string | number, b: string | number): string => this.context.emit('Sub', [this.value(a), this.value(b)]);
  mul = (a: string | number, b: string | number): string => this.context.emit('Mul', [this.value(a), this.value(b)]);
  div = (a: string | number, b: string | number): string => this.context.emit('Div', [this.value(a), this.value(b)]);
  call = (op: string, ...inputs: (string | number)[]): string =>
    this.context.emit(
      op,
      inputs.map((x) => this.value(x)),
    );
  constant = (value: number): string => this.context.scalar(value);
  /** 1 where a holds against b, else 0. */
  test = (op: 'Greater' | 'Less' | 'GreaterOrEqual' | 'LessOrEqual' | 'Equal', a: string | number, b: string | number): string =>
    this.context.emit('Cast', [this.context.emit(op, [this.value(a), this.value(b)])], { to: 1 });
  select = (condition: string, a: string | number, b: string | number): string =>
    this.context.emit('Where', [condition, this.value(a), this.value(b)]);
}

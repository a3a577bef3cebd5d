import type { Node } from '../graph/graph';
import type { ElementType, Tensor } from '../graph/tensor';
import type { CostTable } from './costTable';
import type { GraphBuilder } from './graphBuilder';
import type { AttributeInput, EmitOptions, Emitter } from './opRecord';

/** Emits into a graph under names that begin with a stem. */
export class NamedEmitter implements Emitter {
  constructor(
    protected readonly builder: GraphBuilder,
    private readonly stem: string,
  ) {}

  get costs(): CostTable | undefined {
    return this.builder.costs;
  }

  emit(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    options: EmitOptions = {},
  ): string {
    return this.builder.emit(op, inputs, attributes, { ...options, name: this.nameFor(options, op) });
  }

  emitAll(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>>,
    outputs: number,
    options: EmitOptions = {},
  ): string[] {
    return this.builder.emitAll(op, inputs, attributes, outputs, { ...options, name: this.nameFor(options, op) });
  }

  shape(value: string): readonly number[] {
    return this.builder.shape(value);
  }

  type(value: string): ElementType {
    return this.builder.type(value);
  }

  scalar(value: number): string {
    return this.builder.scalar(value);
  }

  floats(dims: readonly number[], data: ArrayLike<number>): string {
    return this.builder.floats(dims, data);
  }

  ints(values: readonly number[]): string {
    return this.builder.ints(values);
  }

  constant(tensor: Tensor): string {
    return this.builder.constant(tensor);
  }

  zeros(dims: readonly number[]): string {
    return this.builder.zeros(dims);
  }

  producer(value: string): Node | undefined {
    return this.builder.producer(value);
  }

  constantOf(value: string): Tensor | undefined {
    return this.builder.constantOf(value);
  }

  private nameFor(options: EmitOptions, op: string): string {
    return `${this.stem}/${options.name ?? op}`;
  }
}

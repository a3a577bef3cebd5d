import { SurgeryError } from '../graph/errors';
import type { Node } from '../graph/graph';
import type { ElementType, Tensor } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import type { AttributeInput, EmitOptions, GradientContext } from '../ops/opRecord';

/** What a gradient rule sees of one forward node; everything it emits is named after that node. */
export class NodeGradient implements GradientContext {
  constructor(
    private readonly builder: GraphBuilder,
    readonly node: Node,
    readonly opset: number,
    private readonly gradients: ReadonlyMap<string, string>,
    private readonly wanted: ReadonlySet<string>,
  ) {}

  input(i: number): string {
    return this.node.inputs[i] ?? '';
  }

  output(i: number): string {
    return this.node.outputs[i] ?? '';
  }

  outputGradient(i: number): string | undefined {
    return this.gradients.get(this.output(i));
  }

  wants(i: number): boolean {
    return this.wanted.has(this.input(i));
  }

  unbroadcast(gradient: string, i: number): string {
    const target = this.shape(this.input(i));
    const from = this.shape(gradient);
    const extra = from.length - target.length;
    const axes = from.map((_, a) => a).filter((a) => a < extra || (target[a - extra] === 1 && from[a] !== 1));
    const summed = axes.length === 0 ? gradient : this.emit('ReduceSum', [gradient, this.ints(axes)], { keepdims: 0 });
    return sameShape(this.shape(summed), target) ? summed : this.emit('Reshape', [summed, this.ints(target)]);
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

  constantOf(value: string): Tensor | undefined {
    return this.builder.constantOf(value);
  }

  fail(reason: string): never {
    throw new SurgeryError('operator-unsupported', `Node ${this.node.name} (${this.node.op}, opset ${this.opset}): ${reason}`, {
      node: this.node.name,
      op: this.node.op,
    });
  }

  private nameFor(options: EmitOptions, op: string): string {
    return `grad/${this.node.name}/${options.name ?? op}`;
  }
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

import { SurgeryError } from '../graph/errors';
import type { Node } from '../graph/graph';
import type { GraphBuilder } from '../ops/graphBuilder';
import type { AttributeInput, ExpansionContext, GradientContext } from '../ops/opRecord';
import { NamedEmitter } from '../ops/namedEmitter';

/** What a gradient rule sees of one forward node; everything it emits is named after that node. */
export class NodeGradient extends NamedEmitter implements GradientContext {
  constructor(
    builder: GraphBuilder,
    readonly node: Node,
    readonly opset: number,
    private readonly gradients: ReadonlyMap<string, string>,
    private readonly wanted: ReadonlySet<string>,
  ) {
    super(builder, `grad/${node.name}`);
  }

  input(i: number): string {
    return this.node.inputs[i] ?? '';
  }

  output(i: number): string {
    return this.node.outputs[i] ?? '';
  }

  outputGradient(i: number): string | undefined {
    return this.gradients.get(this.output(i));
  }

  accumulated(i: number): string | undefined {
    return this.gradients.get(this.input(i));
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

  fail(reason: string): never {
    throw new SurgeryError('operator-unsupported', `Node ${this.node.name} (${this.node.op}, opset ${this.opset}): ${reason}`, {
      node: this.node.name,
      op: this.node.op,
    });
  }
}

/** What an expansion rule sees of the node that it writes in ordinary operators. */
export class NodeExpansion extends NamedEmitter implements ExpansionContext {
  constructor(
    builder: GraphBuilder,
    readonly node: Node,
  ) {
    super(builder, node.name);
  }

  input(i: number): string {
    return this.node.inputs[i] ?? '';
  }

  emitOutput(i: number, op: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeInput>> = {}): void {
    const output = this.node.outputs[i];
    if (output) this.builder.emitNamed(op, inputs, attributes, [output], { name: `${this.node.name}/output${i}` });
  }

  fail(reason: string): never {
    throw new SurgeryError('operator-unsupported', `Node ${this.node.name} (${this.node.op}): ${reason}`, {
      node: this.node.name,
      op: this.node.op,
    });
  }
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

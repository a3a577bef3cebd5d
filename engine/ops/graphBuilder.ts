import { SurgeryError } from '../graph/errors';
import { type Shape, isStatic } from '../graph/dims';
import type { AttributeValue, Graph, NamedValue, Node, ValueType } from '../graph/graph';
import { newGraph } from '../graph/graph';
import { type ElementType, type Tensor, bytesOf, float32, int64 } from '../graph/tensor';
import type { CostTable } from './costTable';
import { inferNode } from './inferShapes';
import type { AttributeInput, EmitOptions, Emitter, KnownValue } from './opRecord';

/** Builds a graph node by node with static shapes, each inferred as its node is emitted. */
export class GraphBuilder implements Emitter {
  readonly graph: Graph;
  readonly types = new Map<string, ValueType>();
  private readonly known = new Map<string, KnownValue>();
  private readonly shared = new Map<string, string>();
  private readonly producers = new Map<string, Node>();
  private readonly outputNames = new Set<string>();
  private readonly reserved = new Set<string>();
  private counter = 0;

  constructor(
    name: string,
    opset = 17,
    readonly costs?: CostTable,
  ) {
    this.graph = newGraph(name, opset);
  }

  input(name: string, dims: Shape, type: ElementType = 'float32'): string {
    this.graph.inputs.push({ name, type, shape: dims });
    this.types.set(name, { type, shape: dims });
    return name;
  }

  initializer(name: string, tensor: Tensor): string {
    this.graph.initializers.set(name, tensor);
    this.types.set(name, { type: tensor.type, shape: tensor.dims });
    return name;
  }

  /** A value that nothing in this graph makes: a graph that takes the nodes over has it. */
  declare(name: string, dims: readonly number[]): string {
    this.types.set(name, { type: 'float32', shape: dims });
    return name;
  }

  /** Makes a value an output of the graph; saying it twice changes nothing. */
  output(value: string, name = value): string {
    if (this.outputNames.has(name)) return name;
    this.outputNames.add(name);
    const exposed = name === value ? value : this.emitNamed('Identity', [value], {}, [name]);
    const entry: NamedValue = { name, ...this.typeOf(value) };
    this.graph.outputs.push(entry);
    return exposed;
  }

  emit(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    options: EmitOptions = {},
  ): string {
    return this.emitAll(op, inputs, attributes, 1, options)[0] as string;
  }

  emitAll(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>>,
    outputs: number,
    options: EmitOptions = {},
  ): string[] {
    const base = this.fresh(options.name ?? op);
    const names = Array.from({ length: outputs }, (_, i) => (outputs === 1 ? base : `${base}.${i}`));
    this.append({
      name: base,
      op,
      domain: options.domain ?? '',
      inputs: [...inputs],
      outputs: names,
      attributes: toAttributes(attributes),
    });
    return names;
  }

  /** Emits a node whose outputs have the names given. */
  emitNamed(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>>,
    outputs: readonly string[],
    options: EmitOptions = {},
  ): string {
    this.append({
      name: options.name ?? outputs[0] ?? op,
      op,
      domain: options.domain ?? '',
      inputs: [...inputs],
      outputs: [...outputs],
      attributes: toAttributes(attributes),
    });
    return outputs[0] as string;
  }

  /** Appends a ready node (for example one of a forward graph) and infers its outputs. */
  append(node: Node): void {
    for (const input of node.inputs)
      if (input && !this.types.has(input))
        throw new SurgeryError('graph-invalid', `Node ${node.name} (${node.op}) reads ${input}, which nothing has made`);
    if (node.domain && !this.graph.opsets.has(node.domain)) this.graph.opsets.set(node.domain, 1);
    this.graph.nodes.push(node);
    const types = inferNode(node, this.graph, this.types, this.known);
    node.outputs.forEach((name, i) => {
      const type = types[i];
      if (name) this.producers.set(name, node);
      if (name && type) this.types.set(name, type);
    });
  }

  producer(value: string): Node | undefined {
    return this.producers.get(value);
  }

  typeOf(value: string): ValueType {
    const type = this.types.get(value);
    if (!type) throw new SurgeryError('graph-invalid', `Value ${value} is not in graph ${this.graph.name}`);
    return type;
  }

  shape(value: string): readonly number[] {
    const { shape } = this.typeOf(value);
    if (!shape || !isStatic(shape))
      throw new SurgeryError(
        'shape-mismatch',
        `Value ${value} has no static shape (${shape?.join(', ') ?? 'unknown rank'}); give the batch size`,
      );
    return shape;
  }

  type(value: string): ElementType {
    return this.typeOf(value).type;
  }

  scalar(value: number): string {
    return this.constant(float32([], [value]));
  }

  floats(dims: readonly number[], data: ArrayLike<number>): string {
    return this.constant(float32(dims, data));
  }

  ints(values: readonly number[]): string {
    return this.constant(int64([values.length], values));
  }

  constant(tensor: Tensor): string {
    const key = contentKey(tensor);
    const known = key === undefined ? undefined : this.shared.get(key);
    if (known !== undefined) return known;
    const name = this.initializer(this.fresh('const'), tensor);
    if (key !== undefined) this.shared.set(key, name);
    return name;
  }

  zeros(dims: readonly number[]): string {
    const key = `zeros[${dims.join()}]`;
    const known = this.shared.get(key) ?? this.initializer(this.fresh('zeros'), float32(dims));
    this.shared.set(key, known);
    return known;
  }

  constantOf(value: string): Tensor | undefined {
    return this.graph.initializers.get(value);
  }

  /** Keeps names for values that come later. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.reserved.add(name);
  }

  private fresh(stem: string): string {
    let name: string;
    do name = `${stem}_${this.counter++}`;
    while (this.types.has(name) || this.reserved.has(name));
    return name;
  }
}

/** Sharing compares contents, so only small constants are shared. */
function contentKey(tensor: Tensor): string | undefined {
  if (!ArrayBuffer.isView(tensor.data) || tensor.data.byteLength > 4096) return undefined;
  return `${tensor.type}[${tensor.dims.join()}]${Buffer.from(bytesOf(tensor)).toString('base64')}`;
}

/** Plain numbers become `int`, arrays of numbers `ints`; write `{float}` or `{floats}` for the others. */
export function toAttributes(attributes: Readonly<Record<string, AttributeInput>>): Map<string, AttributeValue> {
  return new Map(Object.entries(attributes).map(([name, value]) => [name, toAttribute(value)]));
}

export function toAttribute(value: AttributeInput): AttributeValue {
  if (typeof value === 'number') return { kind: 'int', value };
  if (typeof value === 'string') return { kind: 'string', value };
  if (Array.isArray(value))
    return typeof value[0] === 'string' ? { kind: 'strings', value: value as string[] } : { kind: 'ints', value: value as number[] };
  if ('float' in value) return { kind: 'float', value: value.float };
  if ('floats' in value) return { kind: 'floats', value: value.floats };
  return { kind: 'tensor', value: value as Tensor };
}

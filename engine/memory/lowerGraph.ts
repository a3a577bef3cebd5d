import { SurgeryError } from '../graph/errors';
import { isStatic } from '../graph/dims';
import { type Graph, type Node, feedsOf, intOf } from '../graph/graph';
import { type Tensor, byteSize, elementCount } from '../graph/tensor';
import { macsOf } from '../ops/cost';
import { inferShapes } from '../ops/inferShapes';
import { phaseOf, runUpdatesEarly } from './operationOrder';
import { type MemoryProgram, type Operation, type Storage, usesOf } from './program';

/** Constants up to this size are part of the operators that read them. */
export const EMBEDDED_BYTES = 64 * 1024;
/** Rough speed of a processor, to weigh operations against each other: multiply-accumulates and bytes a second, and the cost of a call. */
const MACS_PER_SECOND = 50e9;
const BYTES_PER_SECOND = 5e9;
const CALL_SECONDS = 5e-6;

/** Most multiply-accumulates for each byte that an operator writes, for it to be run again: a norm or a pool, but no dense convolution. */
const CHEAP_MACS = 4;

/** Operators whose output is a view of their input. */
const VIEWS: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity']);
/** Operators each of whose elements depends on the same element of each input of the same shape. */
const ELEMENTWISE: ReadonlySet<string> = new Set(
  'Abs Add Ceil Clip Cos Div Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Log Mul Neg Reciprocal Relu Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Tanh'.split(
    ' ',
  ),
);

export interface ValuePlace {
  readonly storage: number;
  readonly type: Tensor['type'];
  readonly dims: readonly number[];
}

/** A training graph as operations on storages, with what is needed to run it. */
export interface LoweredGraph {
  readonly program: MemoryProgram;
  /** By operation. */
  readonly nodes: readonly Node[];
  readonly places: ReadonlyMap<string, ValuePlace>;
  /** Contents of constant storages. */
  readonly constants: ReadonlyMap<number, Tensor>;
  /** Storages to copy after an iteration: new weights that could not be written over the old ones. */
  readonly copies: readonly { readonly from: number; readonly to: number }[];
}

export interface LowerOptions {
  /** Outputs that become an input of the next iteration, as input by output. */
  readonly carry?: ReadonlyMap<string, string>;
  /** Bytes of `count` elements where the graph runs; ONNX's when left out. */
  readonly bytesOf?: (type: Tensor['type'], count: number) => number;
  /** Whether the executor owns the memory: an output may take the place of an input that ends with it, and weights may leave. True by default. */
  readonly inPlace?: boolean;
  /** As measured on this machine; a rough one otherwise. */
  readonly macsPerSecond?: number;
}

/** @throws SurgeryError 'shape-mismatch' when a value's shape is not static */
export function lowerGraph(graph: Graph, options: LowerOptions = {}): LoweredGraph {
  const { carry = new Map<string, string>(), bytesOf = byteSize, inPlace = true, macsPerSecond = MACS_PER_SECOND } = options;
  return new Lowering(graph, carry, bytesOf, inPlace, macsPerSecond).run();
}

class Lowering {
  private readonly storages: Storage[] = [];
  private readonly places = new Map<string, ValuePlace>();
  private readonly constants = new Map<number, Tensor>();
  private readonly copies: { from: number; to: number }[] = [];
  private readonly types: ReturnType<typeof inferShapes>['types'];
  private readonly viewOf = new Map<string, string>();
  /** Input that an output, or what it is a view of, is carried to. */
  private carriedTo: ReadonlyMap<string, string> = new Map();
  private readonly layerOfParameter = new Map<string, string>();

  constructor(
    private readonly graph: Graph,
    private readonly carry: ReadonlyMap<string, string>,
    private readonly bytesOf: (type: Tensor['type'], count: number) => number,
    private readonly inPlace: boolean,
    private readonly macsPerSecond: number,
  ) {
    const { types, problems } = inferShapes(graph);
    if (problems[0]) throw new SurgeryError('operator-unsupported', problems[0].reason);
    this.types = types;
  }

  run(): LoweredGraph {
    const { graph, carry } = this;
    for (const node of graph.nodes)
      if (VIEWS.has(node.op) && !graph.initializers.has(node.inputs[0] ?? '')) this.viewOf.set(node.outputs[0] ?? '', node.inputs[0] ?? '');
    this.carriedTo = new Map([...carry].map(([output, input]) => [this.rootOf(output), input]));
    const ordered = runUpdatesEarly(
      graph.nodes.filter((node) => !this.viewOf.has(node.outputs[0] ?? '')),
      this.rootOf,
      carry,
      graph,
    );
    const readers = this.lastReaders(ordered);
    for (const node of ordered) this.noteParameters(node);
    const inputs = this.addFeeds();
    this.addConstants();
    const needed = new Set([...ordered.flatMap((node) => node.inputs.map(this.rootOf)), ...graph.outputs.map((o) => this.rootOf(o.name))]);
    const operations = ordered.map((node, at) => this.addOperation(node, at, needed, readers));
    for (const value of this.viewOf.keys()) this.addView(value);
    const outputs = graph.outputs.filter(({ name }) => !carry.has(name)).map(({ name }) => this.storageOf(name));
    for (const { from } of this.copies) outputs.push(from);
    const program: MemoryProgram = {
      storages: this.storages,
      operations,
      inputs,
      outputs: [...new Set(outputs)],
      keepsPinned: !this.inPlace,
    };
    return { program: withWorkspaceKinds(program), nodes: ordered, places: this.places, constants: this.constants, copies: this.copies };
  }

  /** Name of the value whose storage a value is a view of. */
  private readonly rootOf = (value: string): string => {
    let root = value;
    for (let next = this.viewOf.get(root); next !== undefined; next = this.viewOf.get(root)) root = next;
    return root;
  };

  private lastReaders(ordered: readonly Node[]): Map<string, number> {
    const last = new Map<string, number>();
    ordered.forEach((node, at) => node.inputs.forEach((input) => input && last.set(this.rootOf(input), at)));
    return last;
  }

  private noteParameters(node: Node): void {
    if (phaseOf(node) !== 'forward') return;
    for (const input of node.inputs)
      if (!this.layerOfParameter.has(input)) this.layerOfParameter.set(input, node.name.replace(/\/\w+_\d+$/, ''));
  }

  /** Weights and state are pinned; the batch and what is drawn for it are not. */
  private addFeeds(): number[] {
    const carried = new Set(this.carry.values());
    return feedsOf(this.graph).flatMap(({ name }) => {
      const pinned = carried.has(name);
      const kind = !pinned ? 'inputs' : name.startsWith('state/') ? 'optimiser' : 'weights';
      const owner = name.replace(/^state\/[^/]*\//, '');
      const id = this.add(name, { kind, pinned, layer: this.layerOfParameter.get(owner) ?? '' });
      return pinned ? [] : [id];
    });
  }

  private addConstants(): void {
    for (const [name, tensor] of this.graph.initializers) {
      if (tensor.type === 'string' || byteSize(tensor.type, elementCount(tensor.dims)) <= EMBEDDED_BYTES) continue;
      const id = this.add(name, { kind: 'weights', pinned: true, layer: this.layerOfParameter.get(name) ?? '' });
      this.constants.set(id, tensor);
    }
  }

  private add(value: string, { kind, pinned, layer }: Pick<Storage, 'kind' | 'pinned' | 'layer'>): number {
    const { type, dims } = this.typeOf(value);
    const bytes = this.bytesOf(type, elementCount(dims));
    const storage = this.storages.push({ name: value, bytes, kind, pinned, layer }) - 1;
    this.places.set(value, { storage, type, dims });
    return storage;
  }

  private typeOf(value: string): { type: Tensor['type']; dims: readonly number[] } {
    const { type, shape } = this.types.get(value) ?? {};
    if (!type || !shape || !isStatic(shape))
      throw new SurgeryError('shape-mismatch', `Value ${value} has no static shape; the memory of a training step cannot be planned`);
    return { type, dims: shape };
  }

  private addView(value: string): void {
    this.places.set(value, { storage: this.storageOf(this.rootOf(value)), ...this.typeOf(value) });
  }

  private storageOf(value: string): number {
    const place = this.places.get(this.rootOf(value));
    if (!place) throw new SurgeryError('internal', `Value ${value} has no storage`);
    return place.storage;
  }

  private addOperation(node: Node, at: number, needed: ReadonlySet<string>, readers: ReadonlyMap<string, number>): Operation {
    const phase = phaseOf(node);
    const reads = [
      ...new Set(node.inputs.filter((input) => input && this.places.has(this.rootOf(input))).map((input) => this.storageOf(input))),
    ];
    const layer = this.layerOf(node, reads);
    const kind = phase === 'forward' ? 'activations' : 'gradients';
    const writes = node.outputs.map((output) => {
      if (!output || !needed.has(output)) return undefined;
      return this.carriedPlace(node, output, at, readers) ?? this.add(output, { kind, pinned: false, layer });
    });
    const macs = macsOf(node, this.graph.opsets.get(node.domain) ?? 1, (value) => (value ? this.typeOf(value).dims : undefined));
    const total = (ids: readonly (number | undefined)[]): number =>
      ids.reduce((sum: number, id) => sum + (id === undefined ? 0 : (this.storages[id] as Storage).bytes), 0);
    const written = total(writes);
    const bytes = total(reads) + written;
    const pure = writes.every((id) => id === undefined || !(this.storages[id] as Storage).pinned);
    return {
      name: node.name,
      layer,
      phase,
      reads,
      writes,
      overwritable: this.overwritable(node),
      ignored: node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1 ? this.readStorages(node.inputs.slice(3)) : [],
      recomputable: phase === 'forward' && macs <= CHEAP_MACS * written && pure,
      seconds: macs / this.macsPerSecond + bytes / BYTES_PER_SECOND + CALL_SECONDS,
    };
  }

  private readStorages(inputs: readonly string[]): number[] {
    return [...new Set(inputs.filter((input) => input && this.places.has(this.rootOf(input))).map((input) => this.storageOf(input)))];
  }

  /** The storage of the old weights, when nothing reads them any more or only this operator does, element by element. */
  private carriedPlace(node: Node, output: string, at: number, readers: ReadonlyMap<string, number>): number | undefined {
    const input = this.carriedTo.get(output);
    if (input === undefined) return undefined;
    const old = this.storageOf(input);
    const last = readers.get(input) ?? -1;
    const safe = last < at || (last === at && ELEMENTWISE.has(node.op) && this.sameShape(input, output));
    if (!safe) {
      const from = this.add(output, { kind: 'weights', pinned: false, layer: this.layerOfParameter.get(input) ?? '' });
      this.copies.push({ from, to: old });
      return from;
    }
    this.places.set(output, { storage: old, ...this.typeOf(output) });
    return old;
  }

  private sameShape(a: string, b: string): boolean {
    return this.typeOf(a).dims.join() === this.typeOf(b).dims.join();
  }

  private overwritable(node: Node): number[] {
    const [output = ''] = node.outputs;
    if (!this.inPlace || !ELEMENTWISE.has(node.op)) return [];
    const { type, dims } = this.typeOf(output);
    return node.inputs
      .filter(
        (input) =>
          input &&
          this.places.has(this.rootOf(input)) &&
          this.typeOf(input).type === type &&
          this.typeOf(input).dims.join() === dims.join(),
      )
      .map((input) => this.storageOf(input));
  }

  /** Gradients are named after the layer that they are of, updates after the parameter, other operators after the layer if there is more than one. */
  private layerOf({ name }: Node, reads: readonly number[]): string {
    const owner = name.replace(/^(grad|update)\//, '').replace(/\/[^/]*$/, '');
    if (name.startsWith('update/')) return this.layerOfParameter.get(owner) ?? '';
    const layer = name.startsWith('grad/') ? owner : name.replace(/\/\w+_\d+$/, '');
    return GENERATED.test(layer) ? (this.storages[reads[0] ?? -1]?.layer ?? '') : layer;
  }
}

/** A name made of an operator and a number, which tells nothing of the layer. */
const GENERATED = /^[A-Z]\w*_\d+$/;

/** What only operations of one layer and one pass use is their workspace. */
function withWorkspaceKinds(program: MemoryProgram): MemoryProgram {
  const uses = usesOf(program);
  const placeOf = (at: number): string | undefined => {
    const operation = program.operations[at];
    return operation && `${operation.phase} ${operation.layer}`;
  };
  const storages = program.storages.map((storage, id): Storage => {
    const [first = -1, ...later] = uses[id] as number[];
    const place = placeOf(first);
    const isOwn = !storage.pinned && place !== undefined && later.every((at) => placeOf(at) === place);
    return isOwn ? { ...storage, kind: 'workspace' } : storage;
  });
  return { ...program, storages };
}

import { type Shape, evaluateDim } from '../graph/dims';
import { type Graph, type Node, feedsOf } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import { inferShapes } from '../ops/inferShapes';
import { type AxisRef, type CouplingContext, isUnsupported } from '../ops/opRecord';
import { lookupOp } from '../ops/opTable';
import { channelAxes } from './channelAxes';
import { AtomIndex, DisjointSets } from './atoms';

/** A batch that no network has as a channel count, so that axes of the batch are not taken for channels. */
const PROBE_BATCH = 3;

export interface Lock {
  readonly value: string;
  readonly axis: number;
  readonly reason: string;
}

/** Which positions of which axes stay or go together, for a whole graph. */
export interface Coupling {
  readonly index: AtomIndex;
  readonly sets: DisjointSets;
  /** Reason by representative atom. */
  readonly locked: ReadonlyMap<number, string>;
  readonly problems: readonly { node: string; op: string; reason: string }[];
}

/** Static shapes of every value; symbolic axes get a small probe size. */
export function probeShapes(graph: Graph): {
  shapes: Map<string, readonly number[]>;
  problems: { node: string; op: string; reason: string }[];
} {
  const overrides = new Map<string, Shape>(
    feedsOf(graph).map((input) => [input.name, (input.shape ?? []).map((d) => evaluateDim(d, new Map(), PROBE_BATCH) ?? PROBE_BATCH)]),
  );
  const { types, problems } = inferShapes(graph, overrides);
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of types) if (shape?.every((d) => typeof d === 'number')) shapes.set(name, shape);
  return { shapes, problems };
}

/** Hears of every pair of axes that a node's rule ties. */
export type OnTie = (node: Node, a: AxisRef, b: AxisRef) => void;

/** Runs the coupling rule of every operator and closes the result under all of them. Whatever no rule mentions is locked. */
export function coupleGraph(graph: Graph, onTie?: OnTie): Coupling {
  const { shapes, problems } = probeShapes(graph);
  const index = new AtomIndex(shapes);
  const sets = new DisjointSets(index.count);
  const locks: Lock[] = [];
  const channels = channelAxes(graph, shapes);
  const unknown = unknownReasons(graph, shapes, problems);
  for (const node of graph.nodes) coupleNode(node, { graph, index, sets, locks, channels, unknown, onTie });
  for (const { name } of feedsOf(graph)) lockAll(name, shapes, locks, `the input ${name} of the network`);
  for (const { name } of graph.outputs) lockAll(name, shapes, locks, `the output ${name} of the network`);
  const locked = new Map<number, string>();
  for (const { value, axis, reason } of locks) {
    const start = index.start(value, axis);
    for (let i = 0; i < index.size(value, axis); i++) {
      const root = sets.find(start + i);
      if (!locked.has(root)) locked.set(root, reason);
    }
  }
  return { index, sets, locked, problems };
}

/** Why values have no shape, told by the first node on the way whose shape could not be inferred. */
function unknownReasons(
  graph: Graph,
  shapes: ReadonlyMap<string, readonly number[]>,
  problems: readonly { node: string; reason: string }[],
): Map<string, string> {
  const byNode = new Map(problems.map(({ node, reason }) => [node, reason]));
  const reasons = new Map<string, string>();
  for (const { name, inputs, outputs } of graph.nodes) {
    const reason = byNode.get(name) ?? inputs.map((value) => reasons.get(value)).find((r) => r !== undefined);
    if (reason !== undefined) for (const value of outputs) if (!shapes.has(value)) reasons.set(value, reason);
  }
  return reasons;
}

function lockAll(value: string, shapes: ReadonlyMap<string, readonly number[]>, locks: Lock[], reason: string): void {
  shapes.get(value)?.forEach((_, axis) => locks.push({ value, axis, reason }));
}

/** What the rules of all nodes work on. */
interface Work {
  readonly graph: Graph;
  readonly index: AtomIndex;
  readonly sets: DisjointSets;
  readonly locks: Lock[];
  readonly channels: ReadonlyMap<string, number>;
  /** Why values have no shape. */
  readonly unknown: ReadonlyMap<string, string>;
  readonly onTie?: OnTie;
}

function coupleNode(node: Node, work: Work): void {
  const { graph, index, locks, unknown } = work;
  const opset = graph.opsets.get(node.domain) ?? 1;
  const record = lookupOp(node.op, node.domain, opset);
  const values = [...new Set([...node.inputs, ...node.outputs])].filter((v) => index.shapes.has(v));
  const barrier = (reason: string): void => values.forEach((v) => lockAll(v, index.shapes, locks, reason));
  if (!record) return barrier(`${node.op} (${node.name}, opset ${opset}) is not in the operator table`);
  if (isUnsupported(record.coupling)) return barrier(`${node.op} (${node.name}): ${record.coupling.unsupported}`);
  const shapeless = [...node.inputs, ...node.outputs].filter((v) => v && !index.shapes.has(v));
  if (shapeless.length > 0) {
    const reason = shapeless.map((v) => unknown.get(v)).find((r) => r !== undefined);
    return barrier(`${node.op} (${node.name}) has values of unknown shape${reason === undefined ? '' : `: ${reason}`}`);
  }
  const context = new NodeCoupling(node, opset, work);
  record.coupling(context);
  for (const value of values)
    index.shapes.get(value)?.forEach((_, axis) => {
      if (!context.mentioned(value, axis)) locks.push({ value, axis, reason: `${node.op} (${node.name}) needs all of them` });
    });
}

class NodeCoupling implements CouplingContext {
  private readonly seen = new Set<string>();

  constructor(
    readonly node: Node,
    readonly opset: number,
    private readonly work: Work,
  ) {}

  mentioned(value: string, axis: number): boolean {
    return this.seen.has(`${value}:${axis}`);
  }

  input(i: number): string {
    return this.node.inputs[i] ?? '';
  }

  output(i: number): string {
    return this.node.outputs[i] ?? '';
  }

  inputShape(i: number): readonly number[] {
    return this.work.index.shapes.get(this.input(i)) ?? [];
  }

  outputShape(i: number): readonly number[] {
    return this.work.index.shapes.get(this.output(i)) ?? [];
  }

  constant(i: number): Tensor | undefined {
    return this.work.graph.initializers.get(this.input(i));
  }

  channelAxis(i: number): number | undefined {
    return this.work.channels.get(this.input(i));
  }

  in(i: number, axis: number): AxisRef {
    return this.ref(this.input(i), axis);
  }

  out(i: number, axis: number): AxisRef {
    return this.ref(this.output(i), axis);
  }

  tie(a: AxisRef, b: AxisRef, map: (i: number) => number = (i) => i): void {
    const [startA, startB, size] = [
      this.work.index.start(a.value, a.axis),
      this.work.index.start(b.value, b.axis),
      this.work.index.size(b.value, b.axis),
    ];
    this.mention(a, b);
    this.work.onTie?.(this.node, a, b);
    for (let i = 0; i < this.work.index.size(a.value, a.axis); i++) {
      const j = map(i);
      if (j >= 0 && j < size) this.work.sets.join(startA + i, startB + j);
    }
  }

  tieWithin(a: AxisRef, classOf: (i: number) => number): void {
    const start = this.work.index.start(a.value, a.axis);
    const first = new Map<number, number>();
    this.mention(a);
    for (let i = 0; i < this.work.index.size(a.value, a.axis); i++) {
      const group = classOf(i);
      const known = first.get(group);
      if (known === undefined) first.set(group, i);
      else this.work.sets.join(start + known, start + i);
    }
  }

  free(a: AxisRef): void {
    this.mention(a);
  }

  lock(a: AxisRef, reason: string): void {
    this.mention(a);
    this.work.locks.push({ ...a, reason: `${this.node.op} (${this.node.name}): ${reason}` });
  }

  private ref(value: string, axis: number): AxisRef {
    const rank = this.work.index.shapes.get(value)?.length ?? 0;
    return { value, axis: axis < 0 ? axis + rank : axis };
  }

  private mention(...refs: AxisRef[]): void {
    for (const { value, axis } of refs) this.seen.add(`${value}:${axis}`);
  }
}

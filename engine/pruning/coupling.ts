import { type Shape, evaluateDim } from '../graph/dims';
import { type Graph, type Node, feedsOf } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import { inferShapes } from '../ops/inferShapes';
import { type AxisRef, type CouplingContext, isUnsupported } from '../ops/opRecord';
import { lookupOp } from '../ops/opTable';
import { channelAxes } from './channelAxes';
import { AtomIndex, AxisIndex, DisjointSets } from './atoms';

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
  const axes = new AxisIndex(shapes);
  const locks: Lock[] = [];
  const ties: Tie[] = [];
  const channels = channelAxes(graph, shapes);
  const unknown = unknownReasons(graph, shapes, problems);
  for (const node of graph.nodes) coupleNode(node, { graph, axes, ties, locks, channels, unknown, onTie });
  for (const { name } of feedsOf(graph)) lockAll(name, shapes, locks, `the input ${name} of the network`);
  for (const { name } of graph.outputs) lockAll(name, shapes, locks, `the output ${name} of the network`);
  const index = new AtomIndex(axes);
  const sets = new DisjointSets(index.count);
  for (const tie of ties) joinAtoms(tie, index, sets);
  const locked = lockAtoms(locks, index, sets);
  return { index, sets, locked, problems };
}

/** Positions of one axis that go with positions of another (or of the same), where they are not simply the same ones. */
interface Tie {
  readonly a: AxisRef;
  readonly b: AxisRef;
  readonly map: (i: number) => number;
}

function joinAtoms({ a, b, map }: Tie, index: AtomIndex, sets: DisjointSets): void {
  const [startA, startB, size] = [index.start(a.value, a.axis), index.start(b.value, b.axis), index.size(b.value, b.axis)];
  for (let i = 0; i < index.size(a.value, a.axis); i++) {
    const j = map(i);
    if (j >= 0 && j < size) sets.join(startA + i, startB + j);
  }
}

/** The first reason for every set of atoms that must stay. */
function lockAtoms(locks: readonly Lock[], index: AtomIndex, sets: DisjointSets): Map<number, string> {
  const locked = new Map<number, string>();
  const seen = new Set<number>();
  for (const { value, axis, reason } of locks) {
    const [start, size] = [index.start(value, axis), index.size(value, axis)];
    if (size === 0 || seen.has(start)) continue;
    seen.add(start);
    for (let i = 0; i < size; i++) {
      const root = sets.find(start + i);
      if (!locked.has(root)) locked.set(root, reason);
    }
  }
  return locked;
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
  readonly axes: AxisIndex;
  readonly ties: Tie[];
  readonly locks: Lock[];
  readonly channels: ReadonlyMap<string, number>;
  /** Why values have no shape. */
  readonly unknown: ReadonlyMap<string, string>;
  readonly onTie?: OnTie;
}

function coupleNode(node: Node, work: Work): void {
  const { graph, axes, locks, unknown } = work;
  const opset = graph.opsets.get(node.domain) ?? 1;
  const record = lookupOp(node.op, node.domain, opset);
  const values = [...new Set([...node.inputs, ...node.outputs])].filter((v) => axes.shapes.has(v));
  const barrier = (reason: string): void => values.forEach((v) => lockAll(v, axes.shapes, locks, reason));
  if (!record) return barrier(`${node.op} (${node.name}, opset ${opset}) is not in the operator table`);
  if (isUnsupported(record.coupling)) return barrier(`${node.op} (${node.name}): ${record.coupling.unsupported}`);
  const shapeless = [...node.inputs, ...node.outputs].filter((v) => v && !axes.shapes.has(v));
  if (shapeless.length > 0) {
    const reason = shapeless.map((v) => unknown.get(v)).find((r) => r !== undefined);
    return barrier(`${node.op} (${node.name}) has values of unknown shape${reason === undefined ? '' : `: ${reason}`}`);
  }
  const context = new NodeCoupling(node, opset, work);
  record.coupling(context);
  for (const value of values)
    axes.shapes.get(value)?.forEach((_, axis) => {
      if (!context.mentioned(value, axis))
        locks.push({
          value,
          axis,
          reason: `${node.op} (${node.name}) needs all of them`,
        });
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
    return this.work.axes.shapes.get(this.input(i)) ?? [];
  }

  outputShape(i: number): readonly number[] {
    return this.work.axes.shapes.get(this.output(i)) ?? [];
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

  tie(a: AxisRef, b: AxisRef, map?: (i: number) => number): void {
    const { axes, ties, onTie } = this.work;
    this.mention(a, b);
    onTie?.(this.node, a, b);
    if (!map && axes.size(a.value, a.axis) === axes.size(b.value, b.axis)) axes.bundle(a, b);
    else ties.push({ a, b, map: map ?? ((i) => i) });
  }

  tieWithin(a: AxisRef, classOf: (i: number) => number): void {
    const first = new Map<number, number>();
    this.mention(a);
    const firstOf = (i: number): number => {
      const known = first.get(classOf(i)) ?? i;
      first.set(classOf(i), known);
      return known;
    };
    this.work.ties.push({ a, b: a, map: firstOf });
  }

  free(a: AxisRef): void {
    this.mention(a);
  }

  lock(a: AxisRef, reason: string): void {
    this.mention(a);
    this.work.locks.push({
      ...a,
      reason: `${this.node.op} (${this.node.name}): ${reason}`,
    });
  }

  private ref(value: string, axis: number): AxisRef {
    const rank = this.work.axes.shapes.get(value)?.length ?? 0;
    return { value, axis: axis < 0 ? axis + rank : axis };
  }

  private mention(...refs: AxisRef[]): void {
    for (const { value, axis } of refs) this.seen.add(`${value}:${axis}`);
  }
}

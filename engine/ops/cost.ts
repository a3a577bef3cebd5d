import type { Graph, Node } from '../graph/graph';
import { byteSize, elementCount } from '../graph/tensor';
import { lookupOp } from './opTable';
import { parametersOf } from './parameters';

export interface Totals {
  readonly parameters: number;
  readonly macs: number;
  readonly activationBytes: number;
}

export interface NodeCost extends Totals {
  readonly node: Node;
}

export type ShapeOf = (value: string) => readonly number[] | undefined;

/** Multiply-accumulates of one execution of a node, 0 where its shapes or its rule are unknown (DESIGN 5.1). */
export function macsOf(node: Node, opset: number, shapeOf: ShapeOf): number {
  const macs = lookupOp(node.op, node.domain, opset)?.macs;
  if (!macs || macs === 'none') return 0;
  const read = (name: string | undefined): readonly number[] => shapeOf(name ?? '') ?? [0];
  return macs({ node, inputShape: (i) => read(node.inputs[i]), outputShape: (i) => read(node.outputs[i]) });
}

/**
 * Cost of every node under static shapes. Parameters count where they are first read; activation bytes are those of the
 * node's outputs, in float32.
 */
export function costOf(graph: Graph, shapeOf: ShapeOf): { nodes: NodeCost[]; totals: Totals } {
  const parameters = new Set(parametersOf(graph));
  const opset = graph.opsets.get('') ?? 1;
  const nodes = graph.nodes.map((node): NodeCost => {
    let owned = 0;
    for (const name of node.inputs)
      if (parameters.delete(name)) owned += elementCount(shapeOf(name) ?? graph.initializers.get(name)?.dims ?? []);
    const elements = node.outputs.reduce((n, o) => n + elementCount(shapeOf(o) ?? [0]), 0);
    return { node, parameters: owned, macs: macsOf(node, opset, shapeOf), activationBytes: byteSize('float32', elements) };
  });
  const sum = (key: keyof Totals): number => nodes.reduce((n, cost) => n + cost[key], 0);
  return { nodes, totals: { parameters: sum('parameters'), macs: sum('macs'), activationBytes: sum('activationBytes') } };
}

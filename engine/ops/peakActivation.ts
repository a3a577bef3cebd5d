import { type Graph, consumersOf, feedsOf } from '../graph/graph';
import { byteSize, elementCount } from '../graph/tensor';
import type { ShapeOf } from './cost';

/**
 * Most bytes of activations (float32) that are alive at once when the nodes run in file order and every value is freed after
 * its last reader. Inputs and outputs of the network count; weights do not.
 */
export function peakActivationBytes(graph: Graph, shapeOf: ShapeOf): number {
  const bytes = (value: string): number => byteSize('float32', elementCount(shapeOf(value) ?? [0]));
  const readers = new Map([...consumersOf(graph)].map(([value, nodes]) => [value, nodes.length]));
  for (const { name } of graph.outputs) readers.set(name, Infinity);
  const alive = new Set(feedsOf(graph).map((f) => f.name));
  let now = [...alive].reduce((n, value) => n + bytes(value), 0);
  let peak = now;
  for (const node of graph.nodes) {
    for (const output of node.outputs.filter(Boolean)) {
      alive.add(output);
      now += bytes(output);
    }
    peak = Math.max(peak, now);
    for (const value of new Set([...node.inputs, ...node.outputs]))
      if (alive.has(value) && release(readers, value, node.inputs.includes(value))) {
        alive.delete(value);
        now -= bytes(value);
      }
  }
  return peak;
}

/** Counts one reader of a value off; true when none is left. */
function release(readers: Map<string, number>, value: string, isRead: boolean): boolean {
  const left = (readers.get(value) ?? 0) - (isRead ? 1 : 0);
  readers.set(value, left);
  return left <= 0;
}

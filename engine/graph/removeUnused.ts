import type { Graph, Node } from './graph';

/** Drops, in place, the nodes that no output depends on, and the initializers that nothing reads then. */
export function removeUnused(graph: Graph): void {
  const needed = new Set(graph.outputs.map((o) => o.name));
  const kept = [...graph.nodes].reverse().filter((node) => {
    const used = node.outputs.some((o) => needed.has(o));
    if (used) addReads(node, needed);
    return used;
  });
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys()) if (!needed.has(name)) graph.initializers.delete(name);
}

/** What a node reads, also inside its subgraphs. */
function addReads(node: Node, into: Set<string>): void {
  node.inputs.forEach((name) => into.add(name));
  for (const attribute of node.attributes.values())
    if (attribute.kind === 'graph') {
      attribute.value.outputs.forEach((o) => into.add(o.name));
      attribute.value.nodes.forEach((inner) => addReads(inner, into));
    }
}

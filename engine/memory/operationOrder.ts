import type { Graph, Node } from '../graph/graph';

/**
 * The same operators with the updates of weights, and what leads to nothing else, as early as their inputs allow: gradients of
 * parameters are used up at once instead of waiting for the end. An update waits for all other readers of the weights it replaces.
 *
 * @param rootOf value whose memory a value is a view of
 * @param carry outputs that become an input of the next iteration, as input by output
 */
export function runUpdatesEarly(
  nodes: readonly Node[],
  rootOf: (value: string) => string,
  carry: ReadonlyMap<string, string>,
  graph: Graph,
): Node[] {
  const replaces = new Map([...carry].map(([output, input]) => [rootOf(output), input]));
  const isUpdate = updatesOf(nodes, rootOf, replaces, graph, carry);
  const waiting = new Map<Node, number>();
  const waiters = new Map<string, Node[]>();
  const remainingReaders = new Map<string, Set<Node>>();
  const made = new Set<string>();
  for (const node of nodes)
    for (const input of node.inputs.map(rootOf)) remainingReaders.set(input, (remainingReaders.get(input) ?? new Set()).add(node));
  const makers = new Set(nodes.flatMap((node) => node.outputs));
  const ordered: Node[] = [];
  const done = new Set<Node>();
  const blocked = new Map<string, Node[]>();

  const emit = (first: Node): void => {
    const ready = [first];
    for (let node = ready.pop(); node; node = ready.pop()) {
      if (done.has(node)) continue;
      done.add(node);
      ordered.push(node);
      for (const output of node.outputs) {
        made.add(output);
        for (const waiter of waiters.get(output) ?? []) {
          const left = (waiting.get(waiter) ?? 1) - 1;
          waiting.set(waiter, left);
          if (left === 0 && !isBlocked(waiter)) ready.push(waiter);
        }
      }
      for (const input of new Set(node.inputs.map(rootOf))) {
        const readers = remainingReaders.get(input);
        readers?.delete(node);
        for (const update of blocked.get(input) ?? [])
          if (waiting.get(update) === 0 && !done.has(update) && !isBlocked(update)) ready.push(update);
      }
    }
  };
  const isBlocked = (node: Node): boolean =>
    node.outputs.some((output) => {
      const old = replaces.get(output);
      if (old === undefined) return false;
      const others = [...(remainingReaders.get(old) ?? [])].filter((reader) => reader !== node);
      if (others.length > 0) blocked.set(old, [...new Set([...(blocked.get(old) ?? []), node])]);
      return others.length > 0;
    });

  for (const node of nodes) {
    if (!isUpdate.has(node)) {
      emit(node);
      continue;
    }
    const missing = new Set(node.inputs.map(rootOf).filter((input) => makers.has(input) && !made.has(input)));
    waiting.set(node, missing.size);
    for (const input of missing) waiters.set(input, [...(waiters.get(input) ?? []), node]);
    if (missing.size === 0 && !isBlocked(node)) emit(node);
  }
  return [...ordered, ...nodes.filter((node) => !done.has(node))];
}

/** Operators from which only carried outputs are reached. */
function updatesOf(
  nodes: readonly Node[],
  rootOf: (value: string) => string,
  replaces: ReadonlyMap<string, string>,
  graph: Graph,
  carry: ReadonlyMap<string, string>,
): Set<Node> {
  const kept = new Set(graph.outputs.filter(({ name }) => !carry.has(name)).map(({ name }) => rootOf(name)));
  const usedElsewhere = new Set(kept);
  const updates = new Set<Node>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i] as Node;
    const reaches =
      node.outputs.some((output) => replaces.has(output)) || node.outputs.some((output) => output && !usedElsewhere.has(output));
    if (reaches && node.outputs.every((output) => !usedElsewhere.has(output))) updates.add(node);
    else for (const input of node.inputs.map(rootOf)) usedElsewhere.add(input);
  }
  return updates;
}

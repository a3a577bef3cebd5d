import type { Graph, Node } from '../graph/graph';
import type { Phase } from './program';

export function phaseOf({ name }: Node): Phase {
  if (name.startsWith('update/')) return 'update';
  return name.startsWith('grad/') ? 'backward' : 'forward';
}

/**
 * The same operators with the updates of weights and statistics as early as the gradients allow: those of parameters are used up at
 * once instead of waiting for the end. An update comes after all other readers of the weights that it replaces.
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
  const updates = updatesOf(nodes, rootOf, replaces, graph, carry);
  const others = nodes.filter((node) => !updates.has(node));
  const madeAt = new Map(others.flatMap(({ outputs }, at) => outputs.map((output) => [output, at] as const)));
  const lastRead = new Map(others.flatMap(({ inputs }, at) => inputs.map((input) => [rootOf(input), at] as const)));
  const makerOf = new Map([...updates].flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const following = new Map<number, Node[][]>();
  for (const node of nodes) {
    const replaced = updates.has(node) ? node.outputs.flatMap((output) => replaces.get(output) ?? []) : [];
    if (replaced.length === 0) continue;
    const needed = ancestorsOf(node, rootOf, makerOf);
    const made = needed.flatMap(({ inputs }) => inputs.map((input) => madeAt.get(rootOf(input)) ?? -1));
    const at = Math.max(...made, ...replaced.map((input) => lastRead.get(input) ?? -1), -1);
    following.set(at, [...(following.get(at) ?? []), needed]);
  }
  const ordered = new Set<Node>();
  const emitUpdates = (at: number): void => following.get(at)?.forEach((needed) => needed.forEach((node) => ordered.add(node)));
  emitUpdates(-1);
  others.forEach((node, at) => {
    ordered.add(node);
    emitUpdates(at);
  });
  for (const node of nodes) ordered.add(node);
  return [...ordered];
}

/** A node after all the updates that it depends on. */
function ancestorsOf(node: Node, rootOf: (value: string) => string, makerOf: ReadonlyMap<string, Node>): Node[] {
  const found = new Set<Node>();
  const visit = (next: Node): void => {
    if (found.has(next)) return;
    for (const input of next.inputs) {
      const maker = makerOf.get(rootOf(input));
      if (maker) visit(maker);
    }
    found.add(next);
  };
  visit(node);
  return [...found];
}

/** Operators of the update, or of running statistics, from which only carried outputs are reached. */
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
    if (reaches && phaseOf(node) !== 'backward' && node.outputs.every((output) => !usedElsewhere.has(output))) updates.add(node);
    else for (const input of node.inputs.map(rootOf)) usedElsewhere.add(input);
  }
  return updates;
}

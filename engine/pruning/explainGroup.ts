import type { GroupLink } from '../contract/pruning';
import { SurgeryError } from '../graph/errors';
import type { Node } from '../graph/graph';
import { type ChannelGroup, type PrunableNetwork, filterAxis } from './channelGroups';
import { coupleGraph } from './coupling';

interface Edge {
  readonly node: Node;
  readonly to: string;
}

/** The group of an id, or of a layer that belongs to it; the error says why a layer has none. */
export function findGroup(network: PrunableNetwork, name: string): ChannelGroup {
  const found = network.groups.find((g) => g.id === name) ?? network.groups.find((g) => g.layers.includes(name));
  if (found) return found;
  const locked = network.locked.find((l) => l.layer === name);
  throw new SurgeryError(
    'option-invalid',
    locked ? `${name} cannot be pruned: ${locked.reason}` : `The network has no prunable group or layer ${name}; inspect lists them`,
  );
}

/**
 * Why the layers of a group share their channels: a tree of shortest chains of operators from the first layer to all others,
 * found on the axes that the coupling rules tied.
 */
export function explainGroup(network: PrunableNetwork, group: ChannelGroup): { links: GroupLink[]; readers: string[] } {
  const axes = new Set(group.channels.flatMap((c) => c.members.map((m) => `${m.value}:${m.axis}`)));
  const edges = new Map<string, Edge[]>();
  coupleGraph(network.graph, (node, a, b) => {
    const [x, y] = [`${a.value}:${a.axis}`, `${b.value}:${b.axis}`];
    if (x === y || !axes.has(x) || !axes.has(y)) return;
    edges.set(x, [...(edges.get(x) ?? []), { node, to: y }]);
    edges.set(y, [...(edges.get(y) ?? []), { node, to: x }]);
  });
  const starts = filterVertices(network, group);
  return { links: linksOf(group, starts, edges), readers: readersOf(network, axes) };
}

/** The axis that holds a layer's filters, by layer. */
function filterVertices(network: PrunableNetwork, group: ChannelGroup): Map<string, string> {
  const nodes = network.graph.nodes.filter((n) => group.layers.includes(n.name));
  return new Map(
    nodes.flatMap((node) => {
      const filters = filterAxis(node);
      return filters ? [[node.name, `${node.inputs[filters.input] ?? ''}:${filters.axis}`] as const] : [];
    }),
  );
}

type Tree = Map<string, { vertex: string; node: Node } | undefined>;

/** Grows one tree over the axes; where it meets another layer's filters, the way back to an axis of a layer met before is a link. */
function linksOf(group: ChannelGroup, starts: ReadonlyMap<string, string>, edges: ReadonlyMap<string, readonly Edge[]>): GroupLink[] {
  const [first = ''] = group.layers;
  const layerAt = new Map([...starts].map(([layer, vertex]) => [vertex, layer]));
  const root = starts.get(first) ?? '';
  const before: Tree = new Map([[root, undefined]]);
  const owner = new Map([[root, first]]);
  const links: GroupLink[] = [];
  const queue = [root];
  for (let vertex = queue.shift(); vertex !== undefined; vertex = queue.shift())
    for (const { node, to } of edges.get(vertex) ?? []) {
      if (before.has(to)) continue;
      before.set(to, { vertex, node });
      queue.push(to);
      const layer = layerAt.get(to);
      if (layer !== undefined) links.push(linkTo(layer, to, before, owner));
    }
  const shared = [...starts].filter(([layer, vertex]) => vertex === root && layer !== first);
  return [...shared.map(([layer]) => sharedWeight(first, layer)), ...links];
}

const sharedWeight = (from: string, to: string): GroupLink => ({
  from,
  to,
  through: [],
  reason: `${to} uses the same weight as ${from}`,
});

/** Follows the tree back from a layer's filters; the axes on the way belong to the layer from then on. */
function linkTo(layer: string, vertex: string, before: Tree, owner: Map<string, string>): GroupLink {
  const through: { node: string; op: string }[] = [];
  let at = vertex;
  while (!owner.has(at)) {
    owner.set(at, layer);
    const step = before.get(at);
    if (!step) break;
    if (step.node.name !== layer && through[0]?.node !== step.node.name) through.unshift({ node: step.node.name, op: step.node.op });
    at = step.vertex;
  }
  const from = owner.get(at) ?? '';
  const inner = through.filter((n) => n.node !== from);
  return { from, to: layer, through: inner, reason: sentence(from, layer, inner) };
}

const BINDING = new Set(['Add', 'Sub', 'Mul', 'Div', 'Sum', 'Mean', 'Max', 'Min', 'Concat', 'Where', 'MatMul', 'Split', 'Reshape', 'Pad']);

function sentence(from: string, to: string, through: readonly { node: string; op: string }[]): string {
  const binding = through.filter((n) => BINDING.has(n.op));
  const named = (binding.length > 0 ? binding : through).map((n) => `${n.op} (${n.node})`);
  if (named.length === 0) return `${to} works on the channels of ${from} one by one`;
  return `${named.join(', then ')} ${named.length > 1 ? 'tie' : 'ties'} the channels of ${to} to those of ${from}`;
}

/** Layers whose weights lose a slice along another axis than their filters. */
function readersOf(network: PrunableNetwork, axes: ReadonlySet<string>): string[] {
  return network.graph.nodes
    .filter((node) => {
      const filters = filterAxis(node);
      const weight = filters && node.inputs[filters.input];
      if (!filters || !weight || !network.graph.initializers.has(weight)) return false;
      return [...axes].some((key) => key.startsWith(`${weight}:`) && key !== `${weight}:${filters.axis}`);
    })
    .map((node) => node.name);
}

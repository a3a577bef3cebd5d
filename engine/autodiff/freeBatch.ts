import { SurgeryError } from '../graph/errors';
import { type Graph, type NamedValue, type Node, copyGraph } from '../graph/graph';
import { int64, numbersOf } from '../graph/tensor';
import { inferShapes } from '../ops/inferShapes';

const BATCH = 'scalpel_batch';

/**
 * A network for `batch` samples, where its file fixes another number of them: for any number. Target shapes that begin with the
 * number take the dimension of their input in its place.
 * @throws SurgeryError 'shape-mismatch' naming the node after which samples would no longer lie along the first axis alone
 */
export function freeBatch(network: Graph, input: NamedValue, batch: number): Graph {
  const fixed = input.shape?.[0];
  if (typeof fixed !== 'number' || fixed === batch) return network;
  const graph = copyGraph(network);
  graph.valueInfo.clear();
  const open = (value: NamedValue): NamedValue => ({ ...value, shape: undefined, source: undefined });
  graph.inputs = graph.inputs.map((value) =>
    value.name === input.name ? { ...open(value), shape: [BATCH, ...(input.shape ?? []).slice(1)] } : value,
  );
  graph.outputs = graph.outputs.map(open);
  const dependent = dependents(graph, input.name);
  dependent.forEach((node) => openTarget(node, graph, fixed));
  const { types, problems } = inferShapes(graph);
  const lost = dependent.find((node) =>
    node.outputs.some((name) => {
      const type = name ? types.get(name) : undefined;
      return type?.type !== 'int64' && name !== '' && !alongFirst(type?.shape);
    }),
  );
  const node = lost?.name ?? problems[0]?.node;
  if (node !== undefined)
    throw new SurgeryError(
      'shape-mismatch',
      `Input ${input.name} has a fixed batch of ${fixed}, and node ${node} works with no other; use that batch size or export the model with a dynamic batch`,
    );
  return graph;
}

const alongFirst = (shape: NamedValue['shape']): boolean =>
  shape?.[0] === BATCH && shape.slice(1).every((d) => !String(d).includes(BATCH) && d !== '?');

function dependents(graph: Graph, input: string): Node[] {
  const reached = new Set([input]);
  return graph.nodes.filter((node) => {
    if (!node.inputs.some((name) => reached.has(name))) return false;
    node.outputs.forEach((name) => reached.add(name));
    return true;
  });
}

function openTarget(node: Node, graph: Graph, fixed: number): void {
  const target = graph.initializers.get(node.inputs[1] ?? '');
  if (node.op !== 'Reshape' || !target) return;
  const [first, ...rest] = numbersOf(target);
  if (first !== fixed) return;
  const name = `${node.name}/free_batch`;
  graph.initializers.set(name, int64([rest.length + 1], [0, ...rest]));
  node.inputs[1] = name;
}

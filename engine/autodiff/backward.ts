import { SurgeryError } from '../graph/errors';
import type { Node } from '../graph/graph';
import type { GraphBuilder } from '../ops/graphBuilder';
import { isUnsupported } from '../ops/opRecord';
import { lookupOp } from '../ops/opTable';
import { NodeGradient } from './gradientContext';

/**
 * Reverse-mode differentiation. Appends to `builder`, which already holds the `forward` nodes, the operators that compute
 * the gradients of the seeded outputs with respect to `wrt`. Gradients that meet are added in a fixed order.
 *
 * @param seeds gradient value by forward value, for example of the loss with respect to the logits
 * @param wrt values or initializers
 * @returns gradient value by name of `wrt`; a value that no seed depends on is absent
 */
export function appendBackward(
  builder: GraphBuilder,
  forward: readonly Node[],
  seeds: ReadonlyMap<string, string>,
  wrt: readonly string[],
): Map<string, string> {
  const wanted = dependents(forward, wrt);
  const gradients = new Map(seeds);
  for (let i = forward.length - 1; i >= 0; i--) {
    const node = forward[i] as Node;
    if (!node.outputs.some((o) => gradients.has(o)) || !node.inputs.some((name) => wanted.has(name))) continue;
    accumulate(builder, gradients, node, gradientsOf(builder, node, gradients, wanted));
  }
  return new Map(wrt.flatMap((name) => (gradients.has(name) ? [[name, gradients.get(name) as string] as const] : [])));
}

/** `wrt` and every value computed from it. */
function dependents(forward: readonly Node[], wrt: readonly string[]): Set<string> {
  const wanted = new Set(wrt);
  for (const node of forward) if (node.inputs.some((name) => wanted.has(name))) node.outputs.forEach((o) => wanted.add(o));
  wanted.delete('');
  return wanted;
}

function gradientsOf(
  builder: GraphBuilder,
  node: Node,
  gradients: ReadonlyMap<string, string>,
  wanted: ReadonlySet<string>,
): (string | undefined)[] {
  const opset = builder.graph.opsets.get(node.domain) ?? 1;
  const record = lookupOp(node.op, node.domain, opset);
  if (!record)
    throw new SurgeryError(
      'operator-unsupported',
      `Node ${node.name}: operator ${node.op} (opset ${opset}) cannot be differentiated: it is not in the operator table`,
    );
  if (isUnsupported(record.gradient))
    throw new SurgeryError(
      'operator-unsupported',
      `Node ${node.name}: operator ${node.op} (opset ${opset}) cannot be differentiated: ${record.gradient.unsupported}`,
    );
  return record.gradient(new NodeGradient(builder, node, opset, gradients, wanted));
}

function accumulate(builder: GraphBuilder, gradients: Map<string, string>, node: Node, found: readonly (string | undefined)[]): void {
  found.forEach((gradient, i) => {
    const name = node.inputs[i];
    if (!gradient || !name) return;
    const before = gradients.get(name);
    gradients.set(name, before ? builder.emit('Add', [before, gradient], {}, { name: `grad/${node.name}/Accumulate` }) : gradient);
  });
}

import { SurgeryError } from '../graph/errors';
import type { Node } from '../graph/graph';
import type { GraphBuilder } from '../ops/graphBuilder';
import { type GradientRule, type InputGradient, isExpandable, isUnsupported } from '../ops/opRecord';
import { lookupOp } from '../ops/opTable';
import { NodeExpansion, NodeGradient } from './gradientContext';

/** Gradient rules of the nodes that were expanded, which replace those of their operators. */
export type ExpandedRules = Map<Node, GradientRule>;

/**
 * Appends a forward node that will be differentiated: in ordinary operators where the backward pass needs more than its outputs
 * (and its gradient rule is added to `rules`), as it is otherwise.
 */
export function appendForward(builder: GraphBuilder, node: Node, rules: ExpandedRules): void {
  const opset = builder.graph.opsets.get(node.domain) ?? 1;
  const gradient = lookupOp(node.op, node.domain, opset)?.gradient;
  if (gradient && isExpandable(gradient)) rules.set(node, gradient.expand(new NodeExpansion(builder, node)));
  else builder.append(node);
}

/** A forward node. One that stands for several emitted operators brings its own gradient rule; others have that of their operator. */
export interface ForwardNode extends Node {
  gradient?: GradientRule;
}

/**
 * Reverse-mode differentiation. Appends to `builder`, which already holds the `forward` nodes, the operators that compute
 * the gradients of the seeded outputs with respect to `wrt`. Gradients that meet are added in a fixed order.
 *
 * @param seeds gradient value by forward value, for example of the loss with respect to the logits
 * @param wrt values or initializers
 * @param rules gradient rules of the forward nodes that were expanded
 * @returns gradient value by name of `wrt`; a value that no seed depends on is absent
 */
export function appendBackward(
  builder: GraphBuilder,
  forward: readonly ForwardNode[],
  seeds: ReadonlyMap<string, string>,
  wrt: readonly string[],
  rules: ReadonlyMap<Node, GradientRule> = new Map(),
): Map<string, string> {
  const wanted = dependentsOf(forward, wrt);
  const gradients = new Map(seeds);
  for (let i = forward.length - 1; i >= 0; i--) {
    const node = forward[i] as ForwardNode;
    if (!node.outputs.some((o) => gradients.has(o)) || !node.inputs.some((name) => wanted.has(name))) continue;
    accumulate(builder, gradients, node, gradientsOf(builder, node, gradients, wanted, rules.get(node)));
  }
  return new Map(wrt.flatMap((name) => (gradients.has(name) ? [[name, gradients.get(name) as string] as const] : [])));
}

/** `wrt` and every value computed from it. */
export function dependentsOf(forward: readonly ForwardNode[], wrt: readonly string[]): Set<string> {
  const wanted = new Set(wrt);
  for (const node of forward) if (node.inputs.some((name) => wanted.has(name))) node.outputs.forEach((o) => wanted.add(o));
  wanted.delete('');
  return wanted;
}

function gradientsOf(
  builder: GraphBuilder,
  node: ForwardNode,
  gradients: ReadonlyMap<string, string>,
  wanted: ReadonlySet<string>,
  expanded: GradientRule | undefined,
): InputGradient[] {
  const opset = builder.graph.opsets.get(node.domain) ?? 1;
  const context = new NodeGradient(builder, node, opset, gradients, wanted);
  const own = expanded ?? node.gradient;
  if (own) return own(context);
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
  if (isExpandable(record.gradient)) throw new SurgeryError('internal', `Node ${node.name} (${node.op}) was not expanded for training`);
  return record.gradient(context);
}

function accumulate(builder: GraphBuilder, gradients: Map<string, string>, node: Node, found: readonly InputGradient[]): void {
  found.forEach((gradient, i) => {
    const name = node.inputs[i];
    if (!gradient || !name) return;
    const before = gradients.get(name);
    if (typeof gradient === 'object') gradients.set(name, gradient.total);
    else if (before) gradients.set(name, builder.emit('Add', [before, gradient], {}, { name: `grad/${node.name}/Accumulate` }));
    else gradients.set(name, gradient);
  });
}

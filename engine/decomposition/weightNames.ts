import type { Node } from '../graph/graph';

/** Names that PyTorch's exporter makes up for weights it folded or transposed; no module knows them. */
const MADE_UP = /^(onnx::|_?val_|\/)/;

export const isMadeUp = (weight: string): boolean => MADE_UP.test(weight);

/**
 * The module that a weight belongs to: "fc1" for "fc1.weight". Where the exporter made the name up, the scope of the node tells it:
 * "/features/features.0/MatMul" is "features.0".
 */
export function moduleOf(node: Node, weight: string): string {
  if (!isMadeUp(weight)) return weight.replace(/\.(weight|kernel|W)$/, '');
  const scopes = node.name.split('/').filter(Boolean).slice(0, -1);
  const path = scopes.reduce<string[]>((parts, scope) => {
    const last = parts.at(-1);
    return last !== undefined && scope.startsWith(`${last}.`) ? [...parts.slice(0, -1), scope] : [...parts, scope];
  }, []);
  return path.length > 0 ? path.join('.') : node.name;
}

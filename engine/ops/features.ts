import type { LayerFeatures } from '../contract/models';
import { type Node, intOf } from '../graph/graph';

/**
 * The counts that a layer's constructor states, from the shape of its weight.
 * @param shape of the weight: Conv [O, I / g, ...], ConvTranspose [I, O / g, ...], Gemm and MatMul [I, O] (transposed with transB),
 * recurrent [directions, gates * H, I], per-channel parameters [C]
 */
export function featuresOf(node: Node, shape: readonly number[]): LayerFeatures | undefined {
  const [first, second, third] = shape;
  if (first === undefined) return undefined;
  const groups = intOf(node, 'group', 1);
  switch (node.op) {
    case 'Conv':
      return { inputs: (second ?? 1) * groups, outputs: first, groups };
    case 'ConvTranspose':
      return { inputs: first, outputs: (second ?? 1) * groups, groups };
    case 'Gemm':
    case 'MatMul': {
      const [inputs, outputs] = intOf(node, 'transB', 0) === 1 ? [second, first] : [first, second];
      return shape.length === 2 ? { inputs: inputs ?? 1, outputs: outputs ?? 1, groups: 1 } : undefined;
    }
    case 'LSTM':
    case 'GRU':
    case 'RNN': {
      const gates = { LSTM: 4, GRU: 3, RNN: 1 }[node.op];
      return { inputs: third ?? 1, outputs: (second ?? gates) / gates, groups: 1 };
    }
    default:
      return /Normalization$|^PRelu$/.test(node.op) ? { inputs: first, outputs: first, groups: 1 } : undefined;
  }
}

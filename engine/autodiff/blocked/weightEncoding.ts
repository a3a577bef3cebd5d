import { elementCount } from '../../graph/tensor';
import { type Encoding, permutation } from '../encoding';
import type { BlockedConv } from './sizes';

/**
 * Blocked weights as onnxruntime's kernels read them. Dense: [K/b, C/b, kh, kw, b(c), b(k)]; image: [K/b, C, kh, kw, b(k)];
 * depthwise: [C/b, kh, kw, b(c)]. The graph's input has the plain shape with padded channels.
 */
export function weightEncoding(plainDims: readonly number[], conv: BlockedConv): Encoding {
  const { kind, block, channels, filters, kernel } = conv;
  const taps = elementCount(kernel);
  const [, perGroup = 1] = plainDims;
  const inner = kind === 'dense' ? block : 1;
  const groups = kind === 'depthwise' ? 1 : channels;
  const place = (i: number): number => {
    const tap = i % taps;
    const c = Math.floor(i / taps) % perGroup;
    const k = Math.floor(i / (taps * perGroup));
    const outer = Math.floor(k / block) * (groups / inner) + Math.floor(c / inner);
    return ((outer * taps + tap) * inner + (c % inner)) * block + (k % block);
  };
  return permutation(plainDims, [filters, groups, ...kernel], place);
}

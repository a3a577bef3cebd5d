import { elementCount, float32, numbersOf } from '../../graph/tensor';
import { type Encoding, inRuns } from '../encoding';
import { type BlockedConv, channelsPerGroup } from './sizes';

/**
 * Blocked weights as onnxruntime's kernels read them, c counting within a group. Dense: [K/b, C/b, kh, kw, b(c), b(k)]; image: [K/b, C, kh, kw, b(k)];
 * depthwise: [C/b, kh, kw, b(c)]. The graph's input has the plain shape with padded channels. Groups that are merged lie on the diagonal of
 * their kernel's group, with zeros beside it.
 */
export function weightEncoding(plainDims: readonly number[], conv: BlockedConv): Encoding {
  const { kind, block, groups, merged, filters, kernel } = conv;
  const taps = elementCount(kernel);
  const [all = 1, perGroup = 1] = plainDims;
  const inner = kind === 'dense' ? block : 1;
  const channels = channelsPerGroup(conv);
  const perGroupFilters = all / (groups * merged);
  const start = (i: number): number => {
    const k = Math.floor(i / perGroup);
    const member = merged === 1 ? 0 : Math.floor(k / perGroupFilters) % merged;
    const c = member * perGroup + (i % perGroup);
    const outer = Math.floor(k / block) * (channels / inner) + Math.floor(c / inner);
    return (outer * taps * inner + (c % inner)) * block + (k % block);
  };
  return inRuns(plainDims, [filters, channels, ...kernel], { length: taps, step: inner * block }, start);
}

/** Ones where a weight of merged groups has values and zeros beside them, in blocked form. */
export function diagonalMask(conv: BlockedConv, plainDims: readonly number[]): Float32Array {
  const ones = float32(plainDims, new Float32Array(elementCount(plainDims)).fill(1));
  return Float32Array.from(numbersOf(weightEncoding(plainDims, conv).encode(ones)));
}

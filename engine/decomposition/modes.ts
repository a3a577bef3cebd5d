import { elementCount } from '../graph/tensor';

/** Padding that is worth a better balance: at most this fraction more than there is. */
const MOST_PADDING = 0.06;
const PADDING_WEIGHT = 20;

/**
 * `count` factors, as equal as can be, whose product is `size` or little more: awkward sizes (primes) are padded.
 * Ascending.
 */
export function balancedModes(size: number, count: number): number[] {
  let best: { modes: number[]; score: number } | undefined;
  const last = Math.max(size, Math.floor(size * (1 + MOST_PADDING)));
  for (let padded = size; padded <= last; padded++) {
    const padding = PADDING_WEIGHT * (padded / size - 1);
    if (best && padding >= best.score) break;
    const modes = mostEqual(padded, count);
    const score = imbalance(modes) + padding;
    if (!best || score < best.score) best = { modes, score };
  }
  return best?.modes ?? [size];
}

/** Mean squared distance of the logarithms from their mean. */
function imbalance(modes: readonly number[]): number {
  const mean = Math.log(elementCount(modes)) / modes.length;
  return modes.reduce((s, m) => s + (Math.log(m) - mean) ** 2, 0) / modes.length;
}

/** The most equal factorisation of exactly this size. */
function mostEqual(size: number, count: number): number[] {
  if (count === 1) return [size];
  let best: number[] | undefined;
  for (let first = 1; first ** count <= size; first++) {
    if (size % first !== 0) continue;
    const modes = [first, ...mostEqual(size / first, count - 1)].sort((a, b) => a - b);
    if (!best || imbalance(modes) < imbalance(best)) best = modes;
  }
  return best ?? [...Array<number>(count - 1).fill(1), size];
}

/** Modes of a layer with every depth asked for: the gates go into the first output mode, which meets the smallest input mode. */
export function proposeModes(
  { inputs, outputs, gates }: { readonly inputs: number; readonly outputs: number; readonly gates: number },
  depth: number,
): { inputModes: number[]; outputModes: number[] } {
  const outputModes = balancedModes(outputs / gates, depth).reverse();
  return { inputModes: balancedModes(inputs, depth), outputModes: [(outputModes[0] ?? 1) * gates, ...outputModes.slice(1)] };
}

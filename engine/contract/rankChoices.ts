import type { BlockTermChoice, LayerRanks, RankCandidate } from './decomposition';

/** Every fit of the editor starts from the same numbers. */
const SEED = 1;

/** Compressions that the best choice is told for. */
const TARGETS = [2, 4, 10, 30];

/**
 * The form as a plan writes it: a convolution's window stays whole, and a truncated SVD is the block-term form of the modes
 * 1 x inputs and outputs x 1. Undefined for a tensor train, which no plan can write.
 */
export function choiceOf(ranks: LayerRanks, candidate: RankCandidate): BlockTermChoice | undefined {
  const { form, inputModes, outputModes, blocks } = candidate;
  if (form === 'tensor-train') return undefined;
  if (form === 'svd') {
    const rank = candidate.ranks[0] ?? 1;
    return { inputModes: [1, ranks.inputs], outputModes: [ranks.outputs, 1], ranks: [rank, rank], blocks: 1, seed: SEED };
  }
  if (ranks.op === 'Conv')
    return { inputModes: [ranks.inputs], outputModes: [ranks.outputs], ranks: candidate.ranks.slice(0, 2), blocks, seed: SEED };
  return { inputModes, outputModes, ranks: candidate.ranks, blocks, seed: SEED };
}

/** A shape of the person's own, with one rank for all modes or one for each. */
export const ownChoice = (
  inputModes: readonly number[],
  outputModes: readonly number[],
  ranks: readonly number[],
  blocks: number,
): BlockTermChoice => ({ inputModes, outputModes, ranks: ranks.length === 1 ? inputModes.map(() => ranks[0] ?? 1) : ranks, blocks, seed: SEED }); // prettier-ignore

const sameList = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, k) => n === b[k]);

export const sameChoice = (a: BlockTermChoice, b: BlockTermChoice): boolean =>
  sameList(a.inputModes, b.inputModes) && sameList(a.outputModes, b.outputModes) && sameList(a.ranks, b.ranks) && a.blocks === b.blocks;

export interface BestChoice {
  readonly target: number;
  readonly ratio: number;
  readonly candidate: RankCandidate;
}

/** The candidate of least error that can be applied, at 2, 4, 10 and 30 times fewer parameters; none twice. */
export function bestChoices(ranks: LayerRanks): BestChoice[] {
  const found: BestChoice[] = [];
  for (const target of TARGETS) {
    const candidates = ranks.candidates.filter((c) => choiceOf(ranks, c) && c.parameters * target <= ranks.denseParameters);
    if (candidates.length === 0) continue;
    const candidate = candidates.reduce((a, b) => (b.error < a.error ? b : a));
    if (found.at(-1)?.candidate !== candidate) found.push({ target, ratio: ranks.denseParameters / candidate.parameters, candidate });
  }
  return found;
}

/** 3.14 as "3.1", 31.4 as "31". */
export const formatRatio = (ratio: number): string => (ratio < 10 ? ratio.toFixed(1) : String(Math.round(ratio)));

/** Operators whose weight a block-term form may stand for; the engine tells which of their layers really can be replaced. */
export const isReplaceableOperator = (op: string): boolean => ['Gemm', 'MatMul', 'Conv', 'LSTM', 'GRU', 'RNN'].includes(op);

import { type SymbolType, symbolCircle, symbolCross, symbolDiamond, symbolSquare } from 'd3';
import type { BlockTermChoice, FormKind, LayerRanks, RankCandidate } from '../../engine/contract/decomposition';
import { choiceOf } from '../../engine/contract/rankChoices';
import { seriesColour } from '../shared/chart';

export interface FormStyle {
  readonly form: FormKind;
  readonly name: string;
  readonly colour: string;
  readonly symbol: SymbolType;
}

/** How each kind of form looks in every chart, and in which order they are named. */
export const FORMS: readonly FormStyle[] = [
  { form: 'block-term', name: 'Block-term', colour: seriesColour(0), symbol: symbolCircle },
  { form: 'tucker', name: 'Tucker (one block)', colour: seriesColour(2), symbol: symbolSquare },
  { form: 'svd', name: 'Truncated SVD', colour: seriesColour(1), symbol: symbolDiamond },
  { form: 'tensor-train', name: 'Tensor train', colour: seriesColour(3), symbol: symbolCross },
];

export const styleOf = (form: FormKind): FormStyle => FORMS.find((f) => f.form === form) ?? (FORMS[0] as FormStyle);

type Shape = Omit<BlockTermChoice, 'seed'>;

/** Modes and ranks as a person names them: without a convolution's window, and with the one rank of an SVD. */
export const shapeOf = (ranks: LayerRanks, candidate: RankCandidate): Shape =>
  candidate.form === 'svd' ? candidate : (choiceOf(ranks, candidate) ?? candidate);

/** "8×20×20×18 → 16×4×4×4". */
export const modesText = ({ inputModes, outputModes }: Shape): string => `${inputModes.join('×')} → ${outputModes.join('×')}`;

/** One number where all ranks are the same. */
export const ranksText = (ranks: readonly number[]): string => (new Set(ranks).size === 1 ? String(ranks[0]) : ranks.join(', '));

/** 0.0123 ms as "0.012 ms". */
export const millisecondsText = (ms: number): string => `${ms < 0.1 ? ms.toPrecision(2) : ms < 10 ? ms.toFixed(2) : ms.toPrecision(3)} ms`;

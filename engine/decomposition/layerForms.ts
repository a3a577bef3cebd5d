import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import { BATCH, DATA, type TensorNetwork } from './tensorNetwork';

/**
 * Shape of a block-term layer (Ye et al., CVPR 2018): W[(i1,j1)..(id,jd)] = sum over n, r1..rd of
 * G[n, r1..rd] * prod over k of A_k[n, i_k, j_k, r_k]. N = 1 is Tucker, all ranks 1 is CP of rank N over fused modes.
 */
export interface BlockTermShape {
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  /** One for every mode. */
  readonly ranks: readonly number[];
  readonly blocks: number;
}

/** One rank for all modes, or a list; checked against the modes. @throws SurgeryError 'option-invalid' */
export function blockTermShape(
  inputModes: readonly number[],
  outputModes: readonly number[],
  rank: number | readonly number[],
  blocks: number,
): BlockTermShape {
  const modes = inputModes.length;
  if (modes === 0 || outputModes.length !== modes)
    throw new SurgeryError(
      'option-invalid',
      `${modes} input modes (${inputModes.join(',')}) and ${outputModes.length} output modes (${outputModes.join(',')}) do not pair; give as many of one as of the other`,
    );
  const ranks = typeof rank === 'number' ? inputModes.map(() => rank) : rank;
  if (ranks.length === 1 && modes > 1) return blockTermShape(inputModes, outputModes, ranks[0] ?? 1, blocks);
  if (ranks.length !== modes)
    throw new SurgeryError('option-invalid', `${ranks.length} ranks do not fit ${modes} modes; give one, or one for each mode`);
  if ([...inputModes, ...outputModes, ...ranks, blocks].some((n) => !Number.isInteger(n) || n < 1))
    throw new SurgeryError('option-invalid', 'Modes, ranks and blocks must be positive whole numbers');
  return { inputModes, outputModes, ranks, blocks };
}

const at = (letter: string, k: number): string => `${letter}${k + 1}`;
const axes = (letter: string, count: number): string[] => Array.from({ length: count }, (_, k) => at(letter, k));

function modeSizes(inputModes: readonly number[], outputModes: readonly number[], batch: number): Map<string, number> {
  const sizes = new Map([[BATCH, batch]]);
  inputModes.forEach((n, k) => sizes.set(at('i', k), n));
  outputModes.forEach((n, k) => sizes.set(at('j', k), n));
  return sizes;
}

const dataAndOutput = (modes: number): { data: TensorNetwork['tensors'][number]; output: string[] } => ({
  data: { name: DATA, indices: [BATCH, ...axes('i', modes)] },
  output: [BATCH, ...axes('j', modes)],
});

/** x [b, i1..id], core [n, r1..rd], factor k [n, i_k, j_k, r_k] give [b, j1..jd]. */
export function blockTermNetwork({ inputModes, outputModes, ranks, blocks }: BlockTermShape, batch = 1): TensorNetwork {
  const modes = inputModes.length;
  const sizes = modeSizes(inputModes, outputModes, batch).set('n', blocks);
  ranks.forEach((r, k) => sizes.set(at('r', k), r));
  const { data, output } = dataAndOutput(modes);
  const factors = inputModes.map((_, k) => ({ name: `factor${k + 1}`, indices: ['n', at('i', k), at('j', k), at('r', k)] }));
  return { sizes, tensors: [data, { name: 'core', indices: ['n', ...axes('r', modes)] }, ...factors], output };
}

/** Tensor train over the same modes (Novikov et al. 2015): cores [r_(k-1), i_k, j_k, r_k] with boundary ranks 1. */
export function tensorTrainNetwork(
  inputModes: readonly number[],
  outputModes: readonly number[],
  ranks: readonly number[],
  batch = 1,
): TensorNetwork {
  const modes = inputModes.length;
  const sizes = modeSizes(inputModes, outputModes, batch);
  ranks.forEach((r, k) => sizes.set(at('r', k), r));
  const { data, output } = dataAndOutput(modes);
  const cores = inputModes.map((_, k) => ({
    name: `core${k + 1}`,
    indices: [...(k > 0 ? [at('r', k - 1)] : []), at('i', k), at('j', k), ...(k < modes - 1 ? [at('r', k)] : [])],
  }));
  return { sizes, tensors: [data, ...cores], output };
}

/** Parameters, N (sum I_k J_k R_k + prod R_k), and the compression of the matrix that is replaced. */
export function blockTermCost(shape: BlockTermShape): { parameters: number; denseParameters: number; ratio: number } {
  const factors = shape.inputModes.reduce((n, size, k) => n + size * (shape.outputModes[k] ?? 1) * (shape.ranks[k] ?? 1), 0);
  const parameters = shape.blocks * (factors + elementCount(shape.ranks));
  const denseParameters = elementCount(shape.inputModes) * elementCount(shape.outputModes);
  return { parameters, denseParameters, ratio: denseParameters / parameters };
}

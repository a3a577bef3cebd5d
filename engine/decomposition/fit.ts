import { SurgeryError } from '../graph/errors';
import { Random } from '../graph/random';
import { elementCount } from '../graph/tensor';
import type { Runtime } from '../runtime/runtime';
import { type Block, explicitResidual, sweepJointly } from './alternatingLeastSquares';
import { foldMatrix } from './fold';
import type { BlockTermShape } from './layerForms';
import { type Dense, type Folded, Products, type Reals, alongMode, dense, multiply, squaredNorm } from './products';
import { compress, expandBlock, randomBasis, tuckerBlock } from './subspace';

export interface FitOptions {
  readonly seed?: number;
  /** Random starts beside the one by deflation. */
  readonly starts?: number;
  /** Most sweeps of the start that is kept. */
  readonly sweeps?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number, message: string): void;
}

export interface BlockTermFit {
  readonly shape: BlockTermShape;
  readonly blocks: readonly Block[];
  /** ||W - fit|| / ||W||. */
  readonly error: number;
}

interface State {
  readonly blocks: Block[];
  /** ||T - fit||^2. */
  readonly residual: number;
}

const SCREENING_SWEEPS = 10;
/** Gain of so many sweeps, relative to the tensor's energy, below which a small tensor's fit ends. */
const STALLED = 1e-9;
/** The same for a large tensor, relative to what is left: ten sweeps more make the error less than a ten-thousandth smaller. */
const LARGE_STALLED = 2e-4;
const EXACT = 1e-11;
/** Below this error the tensor is a sum of such blocks, and more sweeps go on to find it. */
const NEARLY_EXACT = 1e-3;
const NEARLY_EXACT_SWEEPS = 5;
/** Up to this many elements a start costs little, and many are tried. */
const SMALL = 10_000;
/** So many of its screened starts go on: the best after a few sweeps need not be the best in the end. */
const SMALL_FINALISTS = 16;
/** Elements of the compressed tensor at most. */
const COMPRESSED = 120_000;
/** Full-size sweeps after the fit in the compressed tensor. */
const POLISH_SWEEPS = 2;

/**
 * Fits a block-term form to a matrix W [prod I, prod J], row-major (papers: De Lathauwer 2008, parts II and III). The folded
 * tensor is first compressed into its leading subspaces; there the start by deflation (each block the Tucker block of what is
 * left, then block-coordinate descent) and several random ones are screened by joint alternating least squares, the best goes
 * on until it stalls, and a few sweeps over the full tensor end the fit. The same seed gives the same fit.
 */
export async function fitBlockTerm(
  runtime: Runtime,
  matrix: Reals,
  shape: BlockTermShape,
  options: FitOptions = {},
): Promise<BlockTermFit> {
  const { inputModes, outputModes } = shape;
  if (matrix.length !== elementCount(inputModes) * elementCount(outputModes))
    throw new SurgeryError(
      'option-invalid',
      `Modes ${inputModes.join(',')} and ${outputModes.join(',')} do not make a matrix of ${matrix.length} elements`,
    );
  const dims = inputModes.map((size, k) => size * (outputModes[k] ?? 1));
  return fitTensor(runtime, { dims, data: foldMatrix(matrix, inputModes, outputModes) }, shape, options);
}

/** The same for a tensor that is folded already. */
export async function fitTensor(runtime: Runtime, tensor: Folded, shape: BlockTermShape, options: FitOptions = {}): Promise<BlockTermFit> {
  const ranks = shape.ranks.map((r, k) => Math.min(r, tensor.dims[k] ?? r));
  const squared = squaredNorm(tensor.data);
  if (squared === 0) throw new SurgeryError('option-invalid', 'The weight is zero everywhere; there is nothing to decompose');
  const products = new Products(runtime, options);
  try {
    const random = new Random(options.seed ?? 1, 17);
    options.onProgress?.(0, 1, 'Compressing');
    const sizes = compressedSizes(tensor.dims, ranks, shape.blocks);
    const { core, bases } = await compress(products, tensor, sizes, random);
    const small = { dims: core.dims, data: Float64Array.from(core.data) };
    const found = await fitCompressed(products, small, ranks, shape.blocks, options, random);
    const full = found.map((block) => expandFactors(block, bases));
    const whole = sizes.every((size, k) => size === tensor.dims[k]);
    const { blocks, error } = whole
      ? { blocks: full, error: explicitResidual(small, found) / Math.sqrt(squared) }
      : await polish(products, tensor, full, squared);
    return { shape, blocks: blocks.map((block) => padRanks(block, shape.ranks)), error };
  } finally {
    await products.dispose();
  }
}

function compressedSizes(dims: readonly number[], ranks: readonly number[], blocks: number): number[] {
  for (let spare = 2; spare >= 1; spare -= 0.25) {
    const sizes = dims.map((m, k) => Math.min(m, Math.ceil(spare * blocks * (ranks[k] ?? 1)) + (spare > 1 ? 4 : 0)));
    if (elementCount(sizes) <= COMPRESSED || spare === 1) return sizes;
  }
  return [...dims];
}

async function fitCompressed(
  products: Products,
  tensor: Folded,
  ranks: readonly number[],
  count: number,
  options: FitOptions,
  random: Random,
): Promise<Block[]> {
  const squared = squaredNorm(tensor.data);
  if (count === 1) return [tuckerBlock(tensor, ranks, 8)];
  // Two modes make a matrix, where taking one block after the other gives the truncated singular value decomposition.
  if (tensor.dims.length === 2) return deflate(tensor, ranks, count, 0);
  const isSmall = tensor.data.length < SMALL;
  const { starts = isSmall ? 32 : 2, sweeps = 150 } = options;
  const finalists = isSmall ? SMALL_FINALISTS : 1;
  const total = (starts + 1) * SCREENING_SWEEPS + finalists * sweeps;
  const screened: State[] = [];
  for (let start = 0; start <= starts; start++) {
    const from = start === 0 ? deflate(tensor, ranks, count) : randomBlocks(tensor, ranks, count, random);
    screened.push(await runSweeps(products, tensor, from, squared, SCREENING_SWEEPS, options.signal));
    options.onProgress?.((start + 1) * SCREENING_SWEEPS, total, `Start ${start + 1} of ${starts + 1}`);
    if ((screened.at(-1) as State).residual <= EXACT ** 2 * squared) break;
  }
  screened.sort((a, b) => a.residual - b.residual);
  let best: State | undefined;
  for (const [place, state] of screened.slice(0, finalists).entries()) {
    const found = await untilStalled(products, tensor, state, squared, sweeps, options.signal, (done, error) =>
      options.onProgress?.(total - (finalists - place) * sweeps + Math.min(done, sweeps), total, `Error ${error.toFixed(4)}`),
    );
    if (!best || found.residual < best.residual) best = found;
    if (explicitResidual(tensor, found.blocks) < NEARLY_EXACT * Math.sqrt(squared)) break;
  }
  if (!best) throw new SurgeryError('internal', 'No start was tried');
  options.onProgress?.(total, total, 'Fitted');
  return best.blocks;
}

/** Sweeps that go on from a screened start for as long as they gain something. */
async function untilStalled(
  products: Products,
  tensor: Folded,
  start: State,
  squared: number,
  sweeps: number,
  signal: AbortSignal | undefined,
  onSweeps: (done: number, error: number) => void,
): Promise<State> {
  const isSmall = tensor.data.length < SMALL;
  let best = start;
  let most = sweeps;
  for (let done = 0; done < most; done += SCREENING_SWEEPS) {
    const before = best.residual;
    best = await runSweeps(products, tensor, best.blocks, squared, SCREENING_SWEEPS, signal);
    onSweeps(done, Math.sqrt(best.residual / squared));
    const exact = explicitResidual(tensor, best.blocks) / Math.sqrt(squared);
    const gained = before - best.residual;
    const least = isSmall || exact < NEARLY_EXACT ? STALLED * squared : LARGE_STALLED * before;
    const stalled = gained < least && (exact > NEARLY_EXACT || gained < NEARLY_EXACT * before);
    if (exact < EXACT || (exact > 1e-8 && stalled)) break;
    if (exact < NEARLY_EXACT) most = NEARLY_EXACT_SWEEPS * sweeps;
  }
  return best;
}

async function runSweeps(
  products: Products,
  tensor: Folded,
  start: readonly Block[],
  squared: number,
  sweeps: number,
  signal?: AbortSignal,
): Promise<State> {
  let state: State = { blocks: [...start], residual: Infinity };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    signal?.throwIfAborted();
    state = await sweepJointly(products, tensor, state.blocks, squared);
    // The tensors here are small, so that products run in this thread: others get their turn between sweeps.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return state;
}

/** Each block from what the ones before it left, then rounds of block-coordinate descent. */
function deflate(tensor: Folded, ranks: readonly number[], count: number, rounds = 2): Block[] {
  const blocks: Block[] = [];
  let rest = tensor;
  for (let n = 0; n < count; n++) {
    const block = tuckerBlock(rest, ranks, 2);
    blocks.push(block);
    rest = combine(rest, expandBlock(block.core, block.factors), -1);
  }
  for (let round = 0; round < rounds; round++)
    blocks.forEach((old, n) => {
      const target = combine(rest, expandBlock(old.core, old.factors), 1);
      const block = tuckerBlock(target, ranks, 1, old.factors);
      blocks[n] = block;
      rest = combine(target, expandBlock(block.core, block.factors), -1);
    });
  return blocks;
}

function randomBlocks(tensor: Folded, ranks: readonly number[], count: number, random: Random): Block[] {
  return Array.from({ length: count }, () => {
    const factors = tensor.dims.map((size, k) => randomBasis(size, ranks[k] ?? 1, random));
    return { core: factors.reduce((t, factor, mode) => alongMode(t, mode, factor), tensor), factors };
  });
}

function combine(a: Folded, b: Folded, factor: number): Folded {
  return { dims: a.dims, data: Float64Array.from(a.data, (v, i) => v + factor * (b.data[i] as number)) };
}

const expandFactors = ({ core, factors }: Block, bases: readonly Dense[]): Block => ({
  core,
  factors: factors.map((f, k) => multiply(bases[k] as Dense, f)),
});

/** Sweeps over the full tensor; float32 products there leave about 1e-6. */
async function polish(
  products: Products,
  tensor: Folded,
  start: readonly Block[],
  squared: number,
): Promise<{ blocks: Block[]; error: number }> {
  let state = { blocks: [...start], residual: Infinity };
  for (let sweep = 0; sweep < POLISH_SWEEPS; sweep++) state = await sweepJointly(products, tensor, state.blocks, squared);
  return { blocks: state.blocks, error: Math.sqrt(state.residual / squared) };
}

/** Ranks beyond the size of a mode hold zeros. */
function padRanks({ core, factors }: Block, ranks: readonly number[]): Block {
  if (factors.every((f, k) => f.cols === ranks[k])) return { core, factors };
  const widened = factors.map((f, k) => widen(f, ranks[k] ?? f.cols));
  return {
    core: factors.reduce((t, f, mode) => alongMode(t, mode, widen(identity(f.cols), ranks[mode] ?? f.cols)), core),
    factors: widened,
  };
}

function widen(matrix: Dense, cols: number): Dense {
  const result = dense(matrix.rows, cols);
  for (let i = 0; i < matrix.rows; i++)
    for (let j = 0; j < matrix.cols; j++) result.data[i * cols + j] = matrix.data[i * matrix.cols + j] as number;
  return result;
}

const identity = (size: number): Dense =>
  dense(
    size,
    size,
    Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
  );

/** The fit as a folded tensor. */
export function reconstruct(blocks: readonly Block[]): Folded {
  return blocks.map(({ core, factors }) => expandBlock(core, factors)).reduce((a, b) => combine(a, b, 1));
}

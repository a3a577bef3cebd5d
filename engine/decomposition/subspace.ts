import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { SurgeryError } from '../graph/errors';
import type { Random } from '../graph/random';
import { type Dense, type Folded, type Products, type Reals, alongMode, dense, multiply, squaredNorm, transpose } from './products';

/** Modes up to this size are decomposed exactly, through their Gram matrix; larger ones by subspace iteration. */
const EXACT_UP_TO = 320;
const POWER_ITERATIONS = 6;
/** Energy that a sweep of higher-order orthogonal iteration has to gain, relative to what is left. */
const STALLED = 1e-6;

export interface Subspace {
  /** Orthonormal columns, leading first. */
  readonly basis: Dense;
  /** Squared singular values that belong to them. */
  readonly energies: readonly number[];
}

/** Eigenvectors of a symmetric matrix, largest eigenvalue first. */
export function symmetricEigen({ rows, data }: Dense, count: number): Subspace {
  const found = new EigenvalueDecomposition(Matrix.from1DArray(rows, rows, data), { assumeSymmetric: true });
  const order = found.realEigenvalues.map((_, i) => i).sort((a, b) => (found.realEigenvalues[b] ?? 0) - (found.realEigenvalues[a] ?? 0));
  const basis = dense(rows, count);
  order.slice(0, count).forEach((from, to) => {
    for (let i = 0; i < rows; i++) basis.data[i * count + to] = found.eigenvectorMatrix.get(i, from);
  });
  return { basis, energies: order.slice(0, count).map((i) => Math.max(0, found.realEigenvalues[i] ?? 0)) };
}

/** The leading right singular vectors of a matrix [rows, cols], row-major, with many rows. */
export async function leadingRows(products: Products, matrix: Reals, cols: number, count: number, random: Random): Promise<Subspace> {
  if (cols <= EXACT_UP_TO) return symmetricEigen(await products.gram(matrix, cols, matrix, cols), Math.min(count, cols));
  const rows = matrix.length / cols;
  const wide = Math.min(cols, rows, count + 8);
  let basis = randomBasis(cols, wide, random);
  for (let i = 0; i < POWER_ITERATIONS; i++) {
    const { data } = await products.along({ dims: [rows, cols], data: matrix }, 1, basis);
    basis = orthonormalise(await products.gram(matrix, cols, data, wide)).q;
  }
  const { data } = await products.along({ dims: [rows, cols], data: matrix }, 1, basis);
  const { basis: turn, energies } = symmetricEigen(await products.gram(data, wide, data, wide), Math.min(count, wide));
  return { basis: multiply(basis, turn), energies };
}

export function randomBasis(rows: number, cols: number, random: Random): Dense {
  const matrix = dense(rows, cols);
  for (let i = 0; i < matrix.data.length; i++) matrix.data[i] = random.normal();
  return orthonormalise(matrix).q;
}

/** A = Q R by modified Gram-Schmidt, twice; a column that depends on those before it becomes zero in R and stays orthonormal in Q. */
export function orthonormalise(a: Dense): { q: Dense; r: Dense } {
  const columns = Array.from({ length: a.cols }, (_, j) =>
    Float64Array.from({ length: a.rows }, (_, i) => a.data[i * a.cols + j] as number),
  );
  const r = dense(a.cols, a.cols);
  columns.forEach((column, j) => {
    const scale = Math.sqrt(dot(column, column));
    for (let pass = 0; pass < 2; pass++) project(columns, j, column, r);
    let norm = Math.sqrt(dot(column, column));
    r.data[j * a.cols + j] = norm > 1e-13 * scale ? norm : 0;
    for (let axis = 0; norm <= 1e-13 * scale || norm === 0; axis++) {
      if (axis >= a.rows) throw new SurgeryError('option-invalid', `A rank of ${a.cols} is more than a mode of size ${a.rows} can have`);
      column.fill(0);
      column[axis] = 1;
      for (let pass = 0; pass < 2; pass++) project(columns, j, column);
      norm = Math.sqrt(dot(column, column));
      if (norm > 1e-6) break;
    }
    for (let i = 0; i < column.length; i++) (column[i] as number) /= norm;
  });
  const q = dense(a.rows, a.cols);
  columns.forEach((column, j) => column.forEach((v, i) => (q.data[i * a.cols + j] = v)));
  return { q, r };
}

/** Takes the parts along earlier columns off a column and notes them in `r`. */
function project(columns: readonly Float64Array[], j: number, column: Float64Array, r?: Dense): void {
  for (let k = 0; k < j; k++) {
    const earlier = columns[k] as Float64Array;
    const part = dot(earlier, column);
    if (r) (r.data[k * r.cols + j] as number) += part;
    for (let i = 0; i < column.length; i++) (column[i] as number) -= part * (earlier[i] as number);
  }
}

export function dot(a: Reals, b: Reals): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** A tensor in its leading subspaces: T = core x_k basis_k, up to what was cut off. */
export interface Compressed {
  readonly core: Folded;
  readonly bases: readonly Dense[];
}

/**
 * Sequentially truncated higher-order singular value decomposition (Vannieuwenhoven et al. 2012), from the last mode to the
 * first, so that the full tensor is read by plain matrix products only.
 */
export async function compress(products: Products, tensor: Folded, sizes: readonly number[], random: Random): Promise<Compressed> {
  let current = tensor;
  const bases: Dense[] = [];
  for (let turn = 0; turn < sizes.length; turn++) {
    const mode = sizes.length - 1 - turn;
    const cols = current.dims.at(-1) ?? 1;
    const { basis } = await leadingRows(products, current.data, cols, sizes[mode] ?? cols, random);
    bases[mode] = basis;
    current = lastToFront(await products.along(current, sizes.length - 1, basis));
  }
  return { core: current, bases };
}

/** The last axis becomes the first; after one turn for each axis all are back in place. */
function lastToFront({ dims, data }: Folded): Folded {
  const cols = dims.at(-1) ?? 1;
  const rows = data.length / cols;
  const result = data instanceof Float32Array ? new Float32Array(data.length) : new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) result[j * rows + i] = data[i * cols + j] as number;
  return { dims: [cols, ...dims.slice(0, -1)], data: result };
}

/** Higher-order orthogonal iteration: the best Tucker block of the given ranks near the truncated HOSVD (De Lathauwer et al. 2000). */
export function tuckerBlock(
  tensor: Folded,
  ranks: readonly number[],
  sweeps: number,
  start?: readonly Dense[],
): { core: Folded; factors: Dense[] } {
  const factors = start ? [...start] : tensor.dims.map((_, mode) => leadingOf(tensor, mode, ranks[mode] ?? 1));
  const energy = squaredNorm(tensor.data);
  const coreOf = (): Folded => factors.reduce((t, factor, mode) => alongMode(t, mode, factor), tensor);
  let core = coreOf();
  for (let sweep = 0; sweep < sweeps; sweep++) {
    factors.forEach((_, mode) => {
      const others = factors.reduce((t, factor, m) => (m === mode ? t : alongMode(t, m, factor)), tensor);
      factors[mode] = leadingOf(others, mode, ranks[mode] ?? 1);
    });
    const before = squaredNorm(core.data);
    core = coreOf();
    const kept = squaredNorm(core.data);
    if (kept - before <= STALLED * (energy - kept)) break;
  }
  return { core, factors };
}

function leadingOf(tensor: Folded, mode: number, rank: number): Dense {
  const { dims, data } = tensor;
  const size = dims[mode] ?? 1;
  const after = dims.slice(mode + 1).reduce((a, b) => a * b, 1);
  const gram = dense(size, size);
  for (let p = 0; p < data.length / (size * after); p++)
    for (let i = 0; i < size; i++)
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        const [a, b] = [(p * size + i) * after, (p * size + j) * after];
        for (let q = 0; q < after; q++) sum += (data[a + q] as number) * (data[b + q] as number);
        (gram.data[i * size + j] as number) += sum;
      }
  for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) gram.data[j * size + i] = gram.data[i * size + j] as number;
  return symmetricEigen(gram, rank).basis;
}

/** The block as a full tensor. */
export const expandBlock = (core: Folded, factors: readonly Dense[]): Folded =>
  factors.reduce((t, factor, mode) => alongMode(t, mode, transpose(factor)), core);

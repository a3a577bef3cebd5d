import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { type Dense, type Folded, type Products, alongMode, dense, multiply, squaredNorm, transpose, unfoldAlong } from './products';
import { dot, expandBlock, orthonormalise } from './subspace';

/** One Tucker term: core [R1..Rd] and factors [m_k, R_k]. */
export interface Block {
  readonly core: Folded;
  readonly factors: readonly Dense[];
}

/** Weight of the proximal term: keeps the normal equations solvable when blocks become alike, without moving the solution. */
const PROXIMAL = 1e-7;
const CORE_STEPS = 60;
/** Of the cores, relative to the right sides of their equations. */
const ACCURACY = 1e-13;
/** Part of the error of the cores that a sweep leaves to the next one, which starts from them. */
const LEFT = 1e-2;

/**
 * One sweep of joint alternating least squares over all blocks of sum_n [[G_n; A_n1 .. A_nd]] (De Lathauwer and Nion 2008,
 * part III): for each mode the factors of all blocks at once from their normal equations, orthonormalised again by QR with the
 * triangle moved into the core; then all cores at once by conjugate gradients.
 *
 * @returns new blocks and ||T - fit||^2, exact up to cancellation
 */
export async function sweepJointly(
  products: Products,
  tensor: Folded,
  blocks: readonly Block[],
  squared: number,
): Promise<{ blocks: Block[]; residual: number }> {
  let current = [...blocks];
  const projections = new Projections(products, tensor);
  for (let mode = 0; mode < tensor.dims.length; mode++) current = await updateFactors(projections, current, mode);
  return updateCores(projections, current, squared);
}

/** The tensor in the factors of blocks. What its first product gives is kept: it is the dearest, and the next modes start with it again. */
class Projections {
  private readonly first = new Map<Dense, Promise<Folded>>();

  constructor(
    private readonly products: Products,
    private readonly tensor: Folded,
  ) {}

  /** T x_m A_m^T for every mode but one. */
  async along(factors: readonly Dense[], except = -1): Promise<Folded> {
    const [start, ...rest] = cheapestOrder(factors, except);
    if (start === undefined) return this.tensor;
    let current = await this.startAlong(factors[start] as Dense, start);
    for (const mode of rest) current = await this.products.along(current, mode, factors[mode] as Dense);
    return current;
  }

  private startAlong(factor: Dense, mode: number): Promise<Folded> {
    const found = this.first.get(factor) ?? this.products.along(this.tensor, mode, factor);
    this.first.set(factor, found);
    return found;
  }
}

async function updateFactors(projections: Projections, blocks: readonly Block[], mode: number): Promise<Block[]> {
  const unfolded = blocks.map(({ core }) => unfoldAlong(core, mode));
  const rightSides: Dense[] = [];
  for (const [n, block] of blocks.entries())
    rightSides.push(multiply(unfoldAlong(await projections.along(block.factors, mode), mode), transpose(unfolded[n] as Dense)));
  const size = unfolded.reduce((n, u) => n + u.rows, 0);
  const normal = normalMatrix(blocks, unfolded, mode, size);
  const ridge = (PROXIMAL * normal.trace()) / size + Number.MIN_VALUE;
  const stacked = beside(rightSides.map((m, n) => addScaled(m, blocks[n]?.factors[mode] as Dense, ridge)));
  for (let i = 0; i < size; i++) normal.set(i, i, normal.get(i, i) + ridge);
  const solved = new CholeskyDecomposition(normal).solve(Matrix.from1DArray(stacked.rows, stacked.cols, stacked.data).transpose());
  let at = 0;
  return blocks.map((block) => {
    const { rows, cols } = block.factors[mode] as Dense;
    const factor = dense(rows, cols);
    for (let i = 0; i < rows; i++) for (let r = 0; r < cols; r++) factor.data[i * cols + r] = solved.get(at + r, i);
    at += cols;
    const { q, r } = orthonormalise(factor);
    return { core: alongMode(block.core, mode, transpose(r)), factors: block.factors.map((f, m) => (m === mode ? q : f)) };
  });
}

/** The mode that shrinks the tensor most goes first. */
const cheapestOrder = (factors: readonly Dense[], except: number): number[] =>
  factors
    .map((f, mode) => ({ mode, shrink: f.rows / f.cols }))
    .filter(({ mode }) => mode !== except)
    .sort((a, b) => b.shrink - a.shrink)
    .map(({ mode }) => mode);

/** P P^T, where row block n of P is the unfolded G_n x_(m != mode) A_nm. */
function normalMatrix(blocks: readonly Block[], unfolded: readonly Dense[], mode: number, size: number): Matrix {
  const result = Matrix.zeros(size, size);
  let row = 0;
  blocks.forEach((a, n) => {
    let column = 0;
    blocks.forEach((b) => {
      const turned = unfoldAlong(overlap(crossProducts(a, b), b.core, mode), mode);
      const part = multiply(unfolded[n] as Dense, transpose(turned));
      for (let i = 0; i < part.rows; i++)
        for (let j = 0; j < part.cols; j++) result.set(row + i, column + j, part.data[i * part.cols + j] as number);
      column += turned.rows;
    });
    row += (unfolded[n] as Dense).rows;
  });
  return Matrix.add(result, result.transpose()).mul(0.5);
}

/** B_m^T A_m for every mode; nothing for a block with itself, whose factors are orthonormal. */
const crossProducts = (a: Block, b: Block): Dense[] =>
  a === b ? [] : a.factors.map((factor, m) => multiply(transpose(b.factors[m] as Dense), factor));

/** core x_m (A_m^T B_m) for every mode but one: what a core of block b looks like in the factors of block a. */
const overlap = (cross: readonly Dense[], core: Folded, except = -1): Folded =>
  cross.reduce((t, product, m) => (m === except ? t : alongMode(t, m, product)), core);

/** All cores from their joint normal equations; the factors are orthonormal, so that these are well scaled. */
async function updateCores(
  projections: Projections,
  blocks: readonly Block[],
  squared: number,
): Promise<{ blocks: Block[]; residual: number }> {
  const target: Float64Array[] = [];
  for (const block of blocks) target.push(Float64Array.from((await projections.along(block.factors)).data));
  const dims = blocks.map(({ core }) => core.dims);
  const cross = blocks.map((a) => blocks.map((b) => crossProducts(a, b)));
  const apply = (x: readonly Float64Array[]): Float64Array[] =>
    blocks.map((a, n) =>
      blocks.reduce<Float64Array>((sum, _, m) => {
        const { data } = overlap(cross[n]?.[m] ?? [], { dims: dims[m] as number[], data: x[m] as Float64Array });
        return addInto(sum, data, 1);
      }, new Float64Array(a.core.data.length)),
    );
  const solution = conjugateGradients(apply, target, blocks.map(({ core }) => Float64Array.from(core.data))); // prettier-ignore
  const fit = apply(solution);
  const inner = solution.reduce((s, x, n) => s + 2 * dot(x, target[n] as Float64Array) - dot(x, fit[n] as Float64Array), 0);
  return {
    blocks: blocks.map((block, n) => ({ ...block, core: { dims: dims[n] as number[], data: solution[n] as Float64Array } })),
    residual: Math.max(0, squared - inner),
  };
}

function conjugateGradients(
  apply: (x: readonly Float64Array[]) => Float64Array[],
  target: readonly Float64Array[],
  start: Float64Array[],
): Float64Array[] {
  const inner = (a: readonly Float64Array[], b: readonly Float64Array[]): number =>
    a.reduce((s, x, n) => s + dot(x, b[n] as Float64Array), 0);
  const x = start;
  const r = apply(x).map((y, n) => addInto(Float64Array.from(target[n] as Float64Array), y, -1));
  const p = r.map((v) => v.slice());
  let rr = inner(r, r);
  const goal = Math.max(ACCURACY ** 2 * inner(target, target), LEFT ** 2 * rr);
  for (let step = 0; step < CORE_STEPS && rr > goal; step++) {
    const q = apply(p);
    const alpha = rr / inner(p, q);
    if (!Number.isFinite(alpha)) break;
    x.forEach((v, n) => addInto(v, p[n] as Float64Array, alpha));
    r.forEach((v, n) => addInto(v, q[n] as Float64Array, -alpha));
    const next = inner(r, r);
    p.forEach((v, n) => v.forEach((old, i) => (v[i] = (r[n]?.[i] ?? 0) + (next / rr) * old)));
    rr = next;
  }
  return x;
}

function addInto(target: Float64Array, source: ArrayLike<number>, factor: number): Float64Array {
  for (let i = 0; i < target.length; i++) (target[i] as number) += factor * (source[i] as number);
  return target;
}

const addScaled = (a: Dense, b: Dense, factor: number): Dense => ({ ...a, data: addInto(a.data.slice(), b.data, factor) });

function beside(parts: readonly Dense[]): Dense {
  const rows = parts[0]?.rows ?? 0;
  const result = dense(
    rows,
    parts.reduce((n, p) => n + p.cols, 0),
  );
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < rows; i++) result.data.set(part.data.subarray(i * part.cols, (i + 1) * part.cols), i * result.cols + at);
    at += part.cols;
  }
  return result;
}

/** ||T - sum of blocks||, computed from the difference itself. */
export function explicitResidual(tensor: Folded, blocks: readonly Block[]): number {
  const difference = Float64Array.from(tensor.data);
  for (const { core, factors } of blocks) {
    addInto(difference, expandBlock(core, factors).data, -1);
  }
  return Math.sqrt(squaredNorm(difference));
}

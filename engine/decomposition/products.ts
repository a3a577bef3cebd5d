import { float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import type { Program, Runtime } from '../runtime/runtime';

export type Reals = Float32Array | Float64Array;

/** A small dense matrix, row-major. */
export interface Dense {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

export const dense = (rows: number, cols: number, data: Float64Array = new Float64Array(rows * cols)): Dense => ({ rows, cols, data });

/** A tensor of any order, row-major. */
export interface Folded {
  readonly dims: readonly number[];
  readonly data: Reals;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Multiply-accumulates from which a product goes to the runtime's kernels (in float32); below that plain float64 is as fast. */
const RUNTIME_FROM = 3e7;

/** Products of tensors with thin matrices: small ones in float64, large ones by the runtime's MatMul in float32. */
export class Products {
  private readonly programs = new Map<string, Promise<Program>>();

  constructor(
    private readonly runtime: Runtime,
    private readonly options: { readonly threads?: number; readonly signal?: AbortSignal } = {},
  ) {}

  /** T x_k U^T: axis `mode` of size U.rows becomes U.cols. */
  async along({ dims, data }: Folded, mode: number, matrix: Dense): Promise<Folded> {
    this.options.signal?.throwIfAborted();
    const [before, after] = [product(dims.slice(0, mode)), product(dims.slice(mode + 1))];
    const shape = dims.map((size, axis) => (axis === mode ? matrix.cols : size));
    const large = data instanceof Float32Array && data.length * matrix.cols >= RUNTIME_FROM;
    if (!large) return { dims: shape, data: alongSmall(data, before, after, matrix) };
    const transposed = transpose(matrix);
    const result =
      after === 1
        ? await this.run('last', [before, matrix.rows], data, [matrix.rows, matrix.cols], Float32Array.from(matrix.data))
        : await this.run('inner', [matrix.cols, matrix.rows], Float32Array.from(transposed.data), [before, matrix.rows, after], data);
    return { dims: shape, data: result };
  }

  /** A^T B for matrices of the same number of rows, summed in float64 over slices of the rows. */
  async gram(a: Reals, aCols: number, b: Reals, bCols: number): Promise<Dense> {
    this.options.signal?.throwIfAborted();
    const rows = a.length / aCols;
    const result = dense(aCols, bCols);
    if (!(a instanceof Float32Array && b instanceof Float32Array && a.length * bCols >= RUNTIME_FROM)) {
      gramSmall(a, aCols, b, bCols, result.data);
      return result;
    }
    const slice = Math.min(rows, 4096);
    for (let from = 0; from < rows; from += slice) {
      const count = Math.min(slice, rows - from);
      const [x, y] = [a.subarray(from * aCols, (from + count) * aCols), b.subarray(from * bCols, (from + count) * bCols)];
      const part = await this.run('gram', [count, aCols], x, [count, bCols], y);
      for (let i = 0; i < part.length; i++) (result.data[i] as number) += part[i] as number;
    }
    return result;
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) (await program).dispose();
    this.programs.clear();
  }

  private async run(
    kind: 'last' | 'inner' | 'gram',
    aDims: number[],
    a: Float32Array,
    bDims: number[],
    b: Float32Array,
  ): Promise<Float32Array> {
    const found = this.programs.get(kind) ?? this.compile(kind);
    this.programs.set(kind, found);
    const result = await (
      await found
    ).run(new Map([['a', float32(aDims, a)], ['b', float32(bDims, b)]]), { signal: this.options.signal }); // prettier-ignore
    return result.get('c')?.data as Float32Array;
  }

  private compile(kind: 'last' | 'inner' | 'gram'): Promise<Program> {
    const builder = new GraphBuilder(`products/${kind}`);
    const a = builder.input('a', kind === 'gram' ? ['K', 'M'] : ['M', 'K']);
    const b = builder.input('b', kind === 'inner' ? ['P', 'K', 'N'] : ['K', 'N']);
    builder.output(kind === 'gram' ? builder.emit('Gemm', [a, b], { transA: 1 }) : builder.emit('MatMul', [a, b]), 'c');
    return this.runtime.compile(builder.graph, { threads: this.options.threads });
  }
}

/** In float64; four rows of U at a time, so that results are read and written a quarter as often. */
function alongSmall(data: Reals, before: number, after: number, { rows, cols, data: u }: Dense): Float64Array {
  const result = new Float64Array(before * cols * after);
  const fours = rows - (rows % 4);
  if (after === 1) {
    for (let p = 0; p < before; p++)
      for (let i = 0; i < rows; i += i < fours ? 4 : 1)
        addRows(result, p * cols, cols, u, i * cols, cols, data, p * rows + i, 1, i < fours);
    return result;
  }
  for (let p = 0; p < before; p++)
    for (let r = 0; r < cols; r++)
      for (let i = 0; i < rows; i += i < fours ? 4 : 1)
        addRows(result, (p * cols + r) * after, after, data, (p * rows + i) * after, after, u, i * cols + r, cols, i < fours);
  return result;
}

/** result[to..] += factors * rows, for one row or four. */
function addRows(
  result: Float64Array,
  to: number,
  count: number,
  rows: Reals,
  from: number,
  rowStep: number,
  factors: Reals,
  at: number,
  factorStep: number,
  isFour: boolean,
): void {
  const f0 = factors[at] as number;
  if (!isFour) {
    for (let q = 0; q < count; q++) (result[to + q] as number) += f0 * (rows[from + q] as number);
    return;
  }
  const f1 = factors[at + factorStep] as number;
  const f2 = factors[at + 2 * factorStep] as number;
  const f3 = factors[at + 3 * factorStep] as number;
  const second = from + rowStep;
  const third = second + rowStep;
  const fourth = third + rowStep;
  for (let q = 0; q < count; q++)
    (result[to + q] as number) +=
      f0 * (rows[from + q] as number) +
      f1 * (rows[second + q] as number) +
      f2 * (rows[third + q] as number) +
      f3 * (rows[fourth + q] as number);
}

function gramSmall(a: Reals, aCols: number, b: Reals, bCols: number, result: Float64Array): void {
  for (let row = 0; row < a.length / aCols; row++)
    for (let i = 0; i < aCols; i++) {
      const factor = a[row * aCols + i] as number;
      if (factor === 0) continue;
      for (let j = 0; j < bCols; j++) (result[i * bCols + j] as number) += factor * (b[row * bCols + j] as number);
    }
}

export function transpose({ rows, cols, data }: Dense): Dense {
  const result = dense(cols, rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) result.data[j * rows + i] = data[i * cols + j] as number;
  return result;
}

/** A B in float64. */
export function multiply(a: Dense, b: Dense): Dense {
  const result = dense(a.rows, b.cols);
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.cols; k++) {
      const factor = a.data[i * a.cols + k] as number;
      for (let j = 0; j < b.cols; j++) (result.data[i * b.cols + j] as number) += factor * (b.data[k * b.cols + j] as number);
    }
  return result;
}

/** T x_k U^T in float64. */
export function alongMode({ dims, data }: Folded, mode: number, matrix: Dense): Folded {
  const [before, after] = [product(dims.slice(0, mode)), product(dims.slice(mode + 1))];
  return {
    dims: dims.map((size, axis) => (axis === mode ? matrix.cols : size)),
    data: alongSmall(data, before, after, matrix),
  };
}

/** The unfolding with axis `mode` as rows: [size of the mode, product of the others in order]. */
export function unfoldAlong({ dims, data }: Folded, mode: number): Dense {
  const [size, before, after] = [dims[mode] ?? 1, product(dims.slice(0, mode)), product(dims.slice(mode + 1))];
  const result = dense(size, before * after);
  for (let p = 0; p < before; p++)
    for (let i = 0; i < size; i++)
      for (let q = 0; q < after; q++) result.data[i * result.cols + p * after + q] = data[(p * size + i) * after + q] as number;
  return result;
}

export const squaredNorm = (data: Reals): number => {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) ** 2;
  return sum;
};

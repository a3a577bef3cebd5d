import assert from 'node:assert/strict';
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { type Block } from '../../../engine/decomposition/alternatingLeastSquares';
import { foldMatrix } from '../../../engine/decomposition/fold';
import { fitBlockTerm, fitTensor, reconstruct } from '../../../engine/decomposition/fit';
import { blockTermShape } from '../../../engine/decomposition/layerForms';
import { dense } from '../../../engine/decomposition/products';
import { Random } from '../../../engine/graph/random';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const runtime = openRuntime();
const normals = (count: number, random: Random): Float64Array => Float64Array.from({ length: count }, () => random.normal());
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** A sum of Tucker blocks with random cores and factors, as a folded tensor. */
function planted(dims: readonly number[], ranks: readonly number[], count: number, random: Random): Float64Array {
  const blocks = Array.from({ length: count }, (): Block => ({
    core: { dims: ranks, data: normals(product(ranks), random) },
    factors: dims.map((size, k) => dense(size, ranks[k] ?? 1, normals(size * (ranks[k] ?? 1), random))),
  }));
  return Float64Array.from(reconstruct(blocks).data);
}

function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] ?? NaN) - (b[i] ?? NaN)) ** 2;
    norm += (b[i] ?? NaN) ** 2;
  }
  return Math.sqrt(difference / norm);
}

describe('fitting block-term forms', () => {
  for (const [dims, rank, seed, count] of [
    [[12, 12, 12], 2, 1, 2],
    [[8, 8, 8, 8], 2, 2, 2],
    [[8, 8, 8, 8], 2, 3, 2],
    [[12, 12, 12], 2, 4, 3],
    [[12, 12, 12], 2, 7, 3],
  ] as const)
    it(`recovers a planted sum of ${count} blocks, modes ${dims.join(' x ')}, seed ${seed}`, async () => {
      const shape = blockTermShape(dims, dims.map(() => 1), rank, count); // prettier-ignore
      const data = planted(dims, shape.ranks, count, new Random(seed));
      const fit = await fitTensor(runtime, { dims, data }, shape);
      assert.ok(fit.error < 1e-8, String(fit.error));
      assert.ok(relativeDifference(reconstruct(fit.blocks).data, data) < 1e-8);
    });

  it('is the truncated singular value decomposition for two modes', async () => {
    const [inputs, outputs] = [[4, 6], [5, 3]]; // prettier-ignore
    const matrix = normals(24 * 15, new Random(5));
    const fit = await fitBlockTerm(runtime, matrix, blockTermShape(inputs, outputs, 2, 3));
    const folded = foldMatrix(matrix, inputs, outputs);
    const singular = new SingularValueDecomposition(Matrix.from1DArray(20, 18, folded)).diagonal;
    const energy = (values: readonly number[]): number => values.reduce((n, v) => n + v * v, 0);
    const best = Math.sqrt(energy(singular.slice(6)) / energy(singular));
    assert.ok(Math.abs(fit.error - best) < 1e-6, `${fit.error} ${best}`);
  });

  it('is exact for one block of full rank, and for ranks beyond a mode', async () => {
    const matrix = normals(24 * 8, new Random(6));
    for (const rank of [
      [4, 6, 8],
      [9, 9, 9],
    ]) {
      const shape = blockTermShape([2, 3, 4], [2, 2, 2], rank, 1);
      const fit = await fitBlockTerm(runtime, matrix, shape);
      assert.ok(fit.error < 1e-12);
      assert.deepEqual(fit.blocks[0]?.core.dims, rank);
      assert.ok(relativeDifference(reconstruct(fit.blocks).data, foldMatrix(matrix, [2, 3, 4], [2, 2, 2])) < 1e-12);
    }
  });

  it('cannot compress noise, and says so in its error', async () => {
    const fit = await fitBlockTerm(runtime, normals(4096, new Random(9)), blockTermShape([4, 4, 4], [4, 4, 4], 4, 1));
    assert.ok(fit.error > 0.9 && fit.error < 1, String(fit.error));
  });

  it('gives the same fit for the same seed and stops when asked to', async () => {
    const matrix = normals(36 * 36, new Random(7));
    const shape = blockTermShape([6, 6], [6, 6], 2, 2);
    const [a, b] = [await fitBlockTerm(runtime, matrix, shape, { seed: 4 }), await fitBlockTerm(runtime, matrix, shape, { seed: 4 })];
    assert.deepEqual(a, b);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error('stopped'));
    await assert.rejects(fitBlockTerm(runtime, matrix, shape, { signal: controller.signal, onProgress }), /stopped/);
  });
});

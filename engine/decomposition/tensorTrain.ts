import type { Random } from '../graph/random';
import { type Folded, type Products, squaredNorm } from './products';
import { leadingRows } from './subspace';

/** Ranks of a tensor train and ||T - train|| / ||T||, by truncated decompositions from the last mode to the first (TT-SVD, Oseledets 2011). */
export async function tensorTrainError(
  products: Products,
  tensor: Folded,
  rank: number,
  random: Random,
): Promise<{ ranks: number[]; error: number }> {
  const total = squaredNorm(tensor.data);
  let current = tensor.data;
  let carried = 1;
  const ranks: number[] = [];
  for (let mode = tensor.dims.length - 1; mode > 0; mode--) {
    const cols = (tensor.dims[mode] ?? 1) * carried;
    const rows = current.length / cols;
    const { basis } = await leadingRows(products, current, cols, Math.min(rank, cols, rows), random);
    current = (await products.along({ dims: [rows, cols], data: current }, 1, basis)).data;
    carried = basis.cols;
    ranks.unshift(carried);
  }
  return { ranks, error: Math.sqrt(Math.max(0, 1 - squaredNorm(current) / total)) };
}

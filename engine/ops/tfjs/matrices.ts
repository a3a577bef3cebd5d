import { floatOf, intOf } from '../../graph/graph';
import type { LoweringContext, TfjsModule, TfjsTensor } from '../opRecord';

/** alpha A B + beta C. */
export function gemmLowering(context: LoweringContext): TfjsTensor {
  const { tf, node } = context;
  const product = tf.matMul(context.input(0), context.input(1), intOf(node, 'transA', 0) === 1, intOf(node, 'transB', 0) === 1);
  const scaled = scale(tf, product, floatOf(node, 'alpha', 1));
  return context.has(2) ? tf.add(scaled, scale(tf, context.input(2), floatOf(node, 'beta', 1))) : scaled;
}

const scale = (tf: TfjsModule, x: TfjsTensor, factor: number): TfjsTensor => (factor === 1 ? x : tf.mul(x, factor));

/** numpy's product, with the transposes and alpha of com.microsoft's FusedMatMul. */
export function matMulLowering(context: LoweringContext): TfjsTensor {
  const { tf, node } = context;
  if (intOf(node, 'transBatchA', 0) || intOf(node, 'transBatchB', 0)) context.fail('transposed batches have no lowering');
  const [rawA, rawB] = [context.input(0), context.input(1)];
  const [transA, transB] = [rawA.rank > 1 && intOf(node, 'transA', 0) === 1, rawB.rank > 1 && intOf(node, 'transB', 0) === 1];
  const a = rawA.rank === 1 ? tf.expandDims(rawA, 0) : rawA;
  const b = rawB.rank === 1 ? tf.expandDims(rawB, 1) : rawB;
  const squeezed = [...(rawA.rank === 1 ? [-2] : []), ...(rawB.rank === 1 ? [-1] : [])];
  const product = scale(tf, batched(tf, a, b, transA, transB), floatOf(node, 'alpha', 1));
  return squeezed.length === 0
    ? product
    : tf.reshape(
        product,
        product.shape.filter((_, i) => !squeezed.includes(i - product.rank)),
      );
}

/** A shared matrix is multiplied once over all rows; batches that broadcast are spread out first. */
function batched(tf: TfjsModule, a: TfjsTensor, b: TfjsTensor, transA: boolean, transB: boolean): TfjsTensor {
  if (a.rank > 2 && b.rank === 2 && !transA) {
    const rows = tf.matMul(tf.reshape(a, [-1, a.shape.at(-1) ?? 1]), b, false, transB);
    return tf.reshape(rows, [...a.shape.slice(0, -1), rows.shape[1] ?? 1]);
  }
  const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  if (batchA.join() === batchB.join()) return tf.matMul(a, b, transA, transB);
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const spread = (x: TfjsTensor): TfjsTensor => tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  return tf.matMul(spread(a), spread(b), transA, transB);
}

import type { LoweringContext, TfjsLowering, TfjsTensor } from '../opRecord';

/** [N, C, ...] to [N, ..., C]. */
export const lastPermutation = (rank: number): number[] => [0, ...range(2, rank), 1];
/** [N, ..., C] to [N, C, ...]. */
export const plainPermutation = (rank: number): number[] => [0, rank - 1, ...range(1, rank - 1)];

export const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** Where an axis of ONNX's order lies when the channels are last. */
export const axisWhenLast = (axis: number, rank: number): number => (axis === 0 ? 0 : axis === 1 ? rank - 1 : axis - 1);

/** Whether an operator that works in either order saves conversions with the channels last. */
export function prefersChannelsLast(context: LoweringContext, inputs: readonly number[]): boolean {
  const missing = { plain: 0, channelsLast: 0 };
  for (const i of inputs) {
    const forms = context.forms(i);
    if (!forms.plain) missing.plain++;
    if (!forms.channelsLast) missing.channelsLast++;
  }
  return missing.plain > missing.channelsLast;
}

/** A function of each element of input 0, in the order it is at hand. */
export const elementwise =
  (apply: (x: TfjsTensor, context: LoweringContext) => TfjsTensor): TfjsLowering =>
  (context) =>
    prefersChannelsLast(context, [0]) ? { channelsLast: apply(context.channelsLast(0), context) } : apply(context.input(0), context);

/** A function of elements that numpy's broadcasting brings together, in the order that needs fewer conversions. */
export const broadcasting =
  (apply: (operands: TfjsTensor[], context: LoweringContext) => TfjsTensor): TfjsLowering =>
  (context) => {
    const inputs = range(0, context.node.inputs.length);
    const rank = Math.max(...inputs.map((i) => context.shape(i).length));
    const whole = inputs.filter((i) => context.shape(i).length === rank);
    if (rank < 3 || !prefersChannelsLast(context, whole))
      return apply(
        inputs.map((i) => context.input(i)),
        context,
      );
    return {
      channelsLast: apply(
        inputs.map((i) => alignedLast(context, i, rank)),
        context,
      ),
    };
  };

/** An operand of lower rank as it broadcasts against one of `rank` axes with the channels last. */
export function alignedLast({ tf, ...context }: LoweringContext, i: number, rank: number): TfjsTensor {
  const shape = context.shape(i);
  if (shape.length === rank) return context.channelsLast(i);
  if (shape.length === 0) return context.input(i);
  const padded = tf.reshape(context.input(i), [...Array<number>(rank - shape.length).fill(1), ...shape]);
  return tf.transpose(padded, lastPermutation(rank));
}

import { elementCount } from '../../graph/tensor';
import type { GradientContext } from '../../ops/opRecord';
import { concat, nchwc, reshape, transpose } from './emit';
import type { BlockedConv } from './sizes';

/**
 * Gradient of a blocked convolution's input: a convolution of the output's gradient with the transposed, reversed weight; with stride 2
 * one such convolution for each of the four phases of the input's positions. What other readers contributed is added by the convolution.
 *
 * @param scale [K] factor of the output's gradient that is folded into the weight
 */
export function inputGradient(
  context: GradientContext,
  conv: BlockedConv,
  g: string,
  weight: string,
  scale?: string,
): string | { total: string } {
  const taps = conv.kind === 'depthwise' ? depthwiseTaps(context, conv, weight, scale) : transposedTaps(context, conv, weight, scale);
  if (conv.stride === 1) return unitStride(context, conv, g, taps);
  return conv.kind === 'depthwise' ? depthwisePhases(context, conv, g, taps) : densePhases(context, conv, g, taps);
}

/** [K/b, C/b, taps, c, k] to [C/b, K/b, taps, k, c] in every group; ReorderOutput transposes the inner blocks five times faster than Transpose. */
function transposedTaps(context: GradientContext, conv: BlockedConv, weight: string, scale?: string): string {
  const { block: b, channels, filters, groups, kernel } = conv;
  const [kb, cb, taps] = [filters / groups / b, channels / groups / b, elementCount(kernel)];
  const scaled = scale
    ? context.emit('Mul', [reshape(context, weight, [groups * kb, cb * taps * b, b]), reshape(context, scale, [groups * kb, 1, b])])
    : weight;
  const blocks = nchwc(context, 'ReorderOutput', [reshape(context, scaled, [groups * kb * cb * taps, b, 1, b])], { channels: b });
  const swapped = kb === 1 || cb === 1 ? blocks : transpose(context, blocks, [groups, kb, cb, taps * b * b], [0, 2, 1, 3]);
  return reshape(context, swapped, [groups * cb * kb, taps, b * b]);
}

/** [C/b, taps, b]. */
function depthwiseTaps(context: GradientContext, { block: b, channels, kernel }: BlockedConv, weight: string, scale?: string): string {
  const taps = reshape(context, weight, [channels / b, elementCount(kernel), b]);
  return scale ? context.emit('Mul', [taps, reshape(context, scale, [channels / b, 1, b])]) : taps;
}

/** Picks taps along axis 1; position `count` is a tap of zeros. */
function pickTaps(context: GradientContext, taps: string, picks: readonly number[]): string {
  const [blocks = 1, count = 1, inner = 1] = context.shape(taps);
  const source = picks.includes(count) ? concat(context, [taps, context.zeros([blocks, 1, inner])], 1) : taps;
  return context.emit('Gather', [source, context.ints(picks)], { axis: 1 });
}

function unitStride(context: GradientContext, conv: BlockedConv, g: string, taps: string): string | { total: string } {
  const { kernel, pads, channels, filters, groups, dilation } = conv;
  const [kh, kw] = kernel;
  const [down, across] = [(kh - 1) * dilation, (kw - 1) * dilation];
  const count = kh * kw;
  const reversed = count === 1 ? taps : pickTaps(context, taps, [...Array(count).keys()].reverse());
  const weight = reshape(context, reversed, [channels, filters / groups, kh, kw]);
  return accumulating(context, [g, weight], {
    kernel_shape: kernel,
    pads: [down - pads[0], across - pads[1], down - pads[2], across - pads[3]],
    dilations: [dilation, dilation],
    group: groups,
  });
}

function accumulating(context: GradientContext, inputs: string[], attributes: Record<string, number | readonly number[]>) {
  const before = context.accumulated(0);
  const sum = nchwc(context, 'Conv', before ? [...inputs, '', before] : inputs, attributes);
  return before ? { total: sum } : sum;
}

/** Phases of one axis under stride 2: position 2u + phase takes tap `taps[phase][t]` of output u + t - begin (-1: none). */
interface Phases {
  readonly taps: readonly (readonly number[])[];
  readonly size: number;
  readonly begin: number;
  readonly end: number;
  /** Positions of each phase. */
  readonly positions: number;
}

export function phasesOf(input: number, output: number, kernel: number, pad: number): Phases {
  const reach = [0, 1].flatMap((phase) =>
    Array.from({ length: kernel }, (_, i) => phase + pad - i).flatMap((twice) => (twice % 2 === 0 ? [twice / 2] : [])),
  );
  const [first, last] = [Math.min(0, ...reach), Math.max(0, ...reach)];
  const size = last - first + 1;
  const taps = [0, 1].map((phase) =>
    Array.from({ length: size }, (_, t) => phase + pad - 2 * (t + first)).map((i) => (i >= 0 && i < kernel ? i : -1)),
  );
  const positions = Math.ceil(input / 2);
  return { taps, size, begin: -first, end: positions - output + first + size - 1, positions };
}

const planePhases = ({ input, output, kernel, pads }: BlockedConv): readonly [Phases, Phases] => [
  phasesOf(input[0], output[0], kernel[0], pads[0]),
  phasesOf(input[1], output[1], kernel[1], pads[1]),
];

/** Whether stride-2 phases need no negative border. */
export const hasPhases = (conv: BlockedConv): boolean => planePhases(conv).every(({ end }) => end >= 0);

/** The taps of one phase, in rows; a missing tap is `count`. */
const phasePicks = (rows: Phases, columns: Phases, phase: number, width: number, count: number): number[] =>
  (rows.taps[phase >> 1] ?? []).flatMap((i) => (columns.taps[phase & 1] ?? []).map((j) => (i < 0 || j < 0 ? count : i * width + j)));

const windowOf = (rows: Phases, columns: Phases) => ({
  kernel_shape: [rows.size, columns.size],
  pads: [rows.begin, columns.begin, rows.end, columns.end],
});

/** All phases as 4C output channels of one convolution, those of a group beside one another. Two strided readers of one input add into the same phases. */
function densePhases(context: GradientContext, conv: BlockedConv, g: string, taps: string): string | { total: string } {
  const { block: b, batch, channels, filters, groups, kernel } = conv;
  const [rows, columns] = planePhases(conv);
  const [cb, kb, count] = [channels / groups / b, filters / groups / b, kernel[0] * kernel[1]];
  const size = rows.size * columns.size;
  const before = context.accumulated(0);
  const behind = before === undefined ? undefined : phasesBehind(context, before);
  const shape = [batch, 4 * channels, rows.positions, columns.positions];
  const same = behind !== undefined && context.shape(behind).join() === shape.join();
  /** A kernel of one tap reaches the first phase only. */
  const computed = count === 1 && groups === 1 && !same ? [0] : [0, 1, 2, 3];
  const picks = computed.flatMap((phase) => phasePicks(rows, columns, phase, kernel[1], count));
  const picked = transpose(context, pickTaps(context, taps, picks), [groups, cb * kb, computed.length, size * b * b], [0, 2, 1, 3]);
  const weight = reshape(context, picked, [computed.length * channels, filters / groups, rows.size, columns.size]);
  const sum = nchwc(context, 'Conv', same ? [g, weight, '', behind] : [g, weight], { ...windowOf(rows, columns), group: groups });
  const empty = (4 - computed.length) * channels;
  const phases = empty === 0 ? sum : concat(context, [sum, context.zeros([batch, empty, ...shape.slice(2)])], 1);
  const full = interleave(context, conv, phases, [batch * groups, 2, 2, cb, rows.positions, columns.positions, b], [0, 3, 4, 1, 5, 2, 6]);
  return same ? { total: full } : full;
}

/** Four depthwise convolutions, their results interleaved. */
function depthwisePhases(context: GradientContext, conv: BlockedConv, g: string, taps: string): string {
  const { block: b, batch, channels, kernel } = conv;
  const [rows, columns] = planePhases(conv);
  const [cb, count] = [channels / b, kernel[0] * kernel[1]];
  const phases = [0, 1, 2, 3].map((phase) => {
    const weight = reshape(context, pickTaps(context, taps, phasePicks(rows, columns, phase, kernel[1], count)), [
      channels,
      1,
      rows.size,
      columns.size,
    ]);
    const part = nchwc(context, 'Conv', [g, weight], { ...windowOf(rows, columns), group: channels });
    return reshape(context, part, [1, batch * channels * rows.positions * columns.positions]);
  });
  const dims = [2, 2, batch, cb, rows.positions, columns.positions, b];
  return interleave(context, conv, concat(context, phases, 0), dims, [2, 3, 4, 0, 5, 1, 6]);
}

function interleave(context: GradientContext, conv: BlockedConv, phases: string, dims: readonly number[], perm: readonly number[]): string {
  const { block: b, batch, channels, input } = conv;
  const [height, width] = [2 * Math.ceil(input[0] / 2), 2 * Math.ceil(input[1] / 2)];
  const full = transpose(context, phases, dims, perm);
  const cut =
    height === input[0] && width === input[1]
      ? full
      : context.emit('Slice', [
          reshape(context, full, [(batch * channels) / b, height, width * b]),
          context.ints([0, 0]),
          context.ints([input[0], input[1] * b]),
          context.ints([1, 2]),
        ]);
  return reshape(context, cut, [batch, channels, ...input]);
}

/** The phases that `interleave` made a value from. */
function phasesBehind(context: GradientContext, value: string): string | undefined {
  const back = (name: string | undefined, op: string): string | undefined => {
    const node = name === undefined ? undefined : context.producer(name);
    return node?.op === op ? node.inputs[0] : undefined;
  };
  const phases = back(back(back(value, 'Reshape'), 'Transpose'), 'Reshape');
  return phases !== undefined && ['Conv', 'Concat'].includes(context.producer(phases)?.op ?? '') ? phases : undefined;
}

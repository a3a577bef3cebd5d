import { elementCount } from '../../graph/tensor';
import type { Graph } from '../../graph/graph';
import type { ConvShape, CostTable } from '../../ops/costTable';
import { GraphBuilder } from '../../ops/graphBuilder';
import type { Emitter } from '../../ops/opRecord';
import { concat, leaveBlocks, nchwc, reshape, sumOver, transpose } from './emit';
import { type BlockedConv, channelsPerGroup } from './sizes';

/** One way to compute a convolution's weight gradient from its input and its output's gradient, both blocked (an image input is plain). */
export interface WeightGradientForm {
  readonly name: string;
  applies(conv: BlockedConv): boolean;
  /** @returns the gradient in the weight's blocked form, shaped as the weight */
  emit(emitter: Emitter, conv: BlockedConv, x: string, g: string): string;
}

/**
 * Kernels take a number of input channels below a block or of whole blocks; where samples (of every group) play that part, samples of zeros
 * are added.
 */
function withWholeBatch(form: WeightGradientForm): WeightGradientForm {
  const wholeBatch = ({ batch, block, groups }: BlockedConv): number => {
    let whole = batch;
    while (whole * groups >= block && (whole * groups) % block !== 0) whole++;
    return whole;
  };
  return {
    ...form,
    applies: (conv) => form.applies({ ...conv, batch: wholeBatch(conv) }),
    emit(emitter, conv, x, g) {
      const batch = wholeBatch(conv);
      const filled = (value: string): string => {
        const [samples = 1, ...rest] = emitter.shape(value);
        return samples === batch ? value : concat(emitter, [value, emitter.zeros([batch - samples, ...rest])], 0);
      };
      return form.emit(emitter, { ...conv, batch }, filled(x), filled(g));
    },
  };
}

const weightShape = (conv: BlockedConv): number[] => [conv.filters, channelsPerGroup(conv), ...conv.kernel];
const innerOf = ({ kind, block }: BlockedConv): number => (kind === 'dense' ? block : 1);

interface Extent {
  readonly pads: readonly [number, number, number, number];
  readonly size: readonly [number, number];
}

/** The padded input that the outputs really see; the lower and right border shrink where the stride leaves positions over. */
function extentOf({ input, output, kernel, stride, dilation, pads }: BlockedConv): Extent {
  const reach = (axis: 0 | 1): number => (output[axis] - 1) * stride + (kernel[axis] - 1) * dilation + 1;
  const end = (axis: 0 | 1): number => Math.max(0, reach(axis) - input[axis] - pads[axis]);
  const [bottom, right] = [end(0), end(1)];
  return { pads: [pads[0], pads[1], bottom, right], size: [input[0] + pads[0] + bottom, input[1] + pads[1] + right] };
}

/** The input as a plain tensor with its zero border. */
function plainPadded(emitter: Emitter, conv: BlockedConv, x: string, { pads, size }: Extent): string {
  const { kind, channels, batch } = conv;
  const bordered = pads.some((p) => p > 0);
  if (kind === 'image') {
    const [top, left, bottom, right] = pads;
    return bordered ? emitter.emit('Pad', [x, emitter.ints([0, 0, top, left, 0, 0, bottom, right])]) : x;
  }
  const ones = emitter.floats([channels, 1, 1, 1], new Float32Array(channels).fill(1));
  const wide = bordered ? nchwc(emitter, 'Conv', [x, ones], { kernel_shape: [1, 1], pads, group: channels }) : x;
  return reshape(emitter, leaveBlocks(emitter, wide, channels), [batch, channels, ...size]);
}

/**
 * Stride 1: each sample (and each of its groups) is a group of one tall image, its channels below one another; the output gradient, shifted down by every kernel row,
 * gives the filters. kh rows of accumulators stay live in the kernel, and the input is not transposed.
 */
const tallImage: WeightGradientForm = {
  name: 'tall-image',
  applies: ({ kind, stride, dilation, kernel: [kh, kw] }) => kind !== 'depthwise' && stride === 1 && dilation === 1 && kh * kw > 1,
  emit(emitter, conv, x, g) {
    const { block: b, batch, groups, filters, output, kernel, pads } = conv;
    const [[kh, kw], [height, width]] = [kernel, output];
    const [inner, channels] = [innerOf(conv), channelsPerGroup(conv)];
    const [kb, cb] = [filters / b, channels / inner];
    const extent: Extent = { pads, size: [height + kh - 1, width + kw - 1] };
    const image = reshape(emitter, plainPadded(emitter, conv, x, extent), [1, batch * groups, channels * extent.size[0], extent.size[1]]);
    const rows = reshape(emitter, g, [batch * kb, height, width * b]);
    const gap = emitter.zeros([batch * kb, kh, width * b]);
    const shifted = concat(
      emitter,
      [...Array(2 * kh - 1).keys()].map((i) => (i % 2 === 0 ? rows : gap)).filter((_, i) => kh > 1 || i === 0),
      1,
    );
    const filter = reshape(emitter, shifted, [batch * kh * filters, 1, extent.size[0], width]);
    const full = nchwc(emitter, 'Conv', [image, filter], {
      kernel_shape: [extent.size[0], width],
      strides: [extent.size[0], 1],
      group: batch * groups,
    });
    const sum = sumOver(emitter, reshape(emitter, full, [batch, kh * filters * channels * kw]), 0);
    const ordered = transpose(emitter, sum, [kb, kh, cb, inner, kw, b], [0, 2, 1, 4, 3, 5]);
    return reshape(emitter, ordered, weightShape(conv));
  },
};

const largestDivisor = (n: number, limit: number): number => {
  let d = Math.min(n, limit);
  while (n % d !== 0) d--;
  return d;
};

/** Samples and channels change places: the output gradient is the filter, a few samples are its input channels, and groups are added up. */
const swapped = (samples: number): WeightGradientForm => ({
  name: `swapped-${samples}`,
  applies: ({ kind }) => kind !== 'depthwise',
  emit(emitter, conv, x, g) {
    const { block: b, batch, filters, groups, output, kernel, stride } = conv;
    const extent = extentOf(conv);
    const share = largestDivisor(batch, Math.min(samples, b - 1));
    const shares = batch / share;
    const [inner, channels] = [innerOf(conv), channelsPerGroup(conv)];
    const [kb, taps, positions] = [filters / b, elementCount(kernel), elementCount(output)];
    const image = channelsFirst(emitter, conv, plainPadded(emitter, conv, x, extent), extent);
    const ordered = kb === 1 ? g : transpose(emitter, g, [shares, share, groups, kb / groups, positions * b], [2, 0, 3, 1, 4]);
    const filter = reshape(emitter, ordered, [shares * filters, share, ...output]);
    const full = nchwc(emitter, 'Conv', [image, filter], {
      kernel_shape: output,
      dilations: [stride, stride],
      group: groups * shares,
      ...overshoot(extent, conv),
    });
    const parts = reshape(emitter, cutTo(emitter, full, conv), [channels * groups, shares, (filters / groups) * taps]);
    const sum = sumOver(emitter, parts, 1);
    return blockedWeight(emitter, sum, [channels / inner, inner, kb, taps, b], conv);
  },
});

/** [N, C, H, W] to [C, N, H, W]; with groups to [C/g, g N, H, W]. */
function channelsFirst(emitter: Emitter, conv: BlockedConv, plain: string, { size }: Extent): string {
  const { batch, groups } = conv;
  if (groups === 1) return emitter.emit('Transpose', [plain], { perm: [1, 0, 2, 3] });
  const channels = channelsPerGroup(conv);
  const swapped = transpose(emitter, plain, [batch, groups, channels, elementCount(size)], [2, 1, 0, 3]);
  return reshape(emitter, swapped, [channels, groups * batch, ...size]);
}

/** Dilated taps are stepped to. Where the stride leaves input positions over, more offsets come out than there are taps; a 1x1 kernel steps over them. */
const overshoot = ({ size }: Extent, { output, kernel, stride, dilation }: BlockedConv): Record<string, readonly number[]> => {
  if (dilation > 1) return { strides: [dilation, dilation] };
  const spare = size.map((s, i) => s - (((output[i] ?? 1) - 1) * stride + 1) + 1);
  return kernel[0] * kernel[1] === 1 && spare.some((n) => n > 1) ? { strides: spare } : {};
};

function cutTo(emitter: Emitter, full: string, { kernel, block: b }: BlockedConv): string {
  const [outer = 1, rows = 1, height = 1, width = 1] = emitter.shape(full);
  if (height === kernel[0] && width === kernel[1]) return full;
  const cut = emitter.emit('Slice', [
    reshape(emitter, full, [(outer * rows) / b, height, width * b]),
    emitter.ints([0, 0]),
    emitter.ints([kernel[0], kernel[1] * b]),
    emitter.ints([1, 2]),
  ]);
  return reshape(emitter, cut, [outer, rows, ...kernel]);
}

/** [C/c, c, K/b, taps, k] to the weight's [K/b, C/c, taps, c, k]. */
function blockedWeight(emitter: Emitter, value: string, dims: readonly number[], conv: BlockedConv): string {
  return reshape(emitter, transpose(emitter, value, dims, [2, 0, 3, 1, 4]), weightShape(conv));
}

/** As `swapped`, with the samples as blocked channels, so that nothing is left to add up. */
const blockedSamples: WeightGradientForm = {
  name: 'blocked-samples',
  applies: ({ kind, batch, block, channels }) => kind === 'dense' && batch % block === 0 && channels % block === 0,
  emit(emitter, conv, x, g) {
    const { block: b, batch, filters, groups, output, kernel, stride } = conv;
    const extent = extentOf(conv);
    const [cb, kb, taps, positions] = [channelsPerGroup(conv) / b, filters / b, elementCount(kernel), elementCount(output)];
    const plain = channelsFirst(emitter, conv, plainPadded(emitter, conv, x, extent), extent);
    const image = nchwc(emitter, 'ReorderInput', [plain]);
    const filter = transpose(emitter, g, [batch / b, b, kb, positions, b], [2, 0, 3, 1, 4]);
    const full = nchwc(emitter, 'Conv', [image, reshape(emitter, filter, [filters, batch, ...output])], {
      kernel_shape: output,
      dilations: [stride, stride],
      group: groups,
      ...overshoot(extent, conv),
    });
    return blockedWeight(emitter, cutTo(emitter, full, conv), [cb, b, kb, taps, b], conv);
  },
};

/** 1x1: matrix products of the plain tensors over positions, one for each sample. */
const pointwise: WeightGradientForm = {
  name: 'pointwise',
  applies: ({ kind, kernel, stride, pads }) => kind === 'dense' && elementCount(kernel) === 1 && stride === 1 && pads.every((p) => p === 0),
  emit(emitter, conv, x, g) {
    const { block: b, batch, channels, filters, groups, output } = conv;
    const flat = (value: string, count: number): string =>
      reshape(emitter, leaveBlocks(emitter, value, count), [batch * groups, count / groups, elementCount(output)]);
    const product = emitter.emit('FusedMatMul', [flat(x, channels), flat(g, filters)], { transB: 1 }, { domain: 'com.microsoft' });
    if (groups === 1) return blockedWeight(emitter, sumOver(emitter, product, 0), [channels / b, b, filters / b, 1, b], conv);
    const [cb, kb] = [channels / groups / b, filters / groups / b];
    const sum = sumOver(emitter, reshape(emitter, product, [batch, (channels * filters) / groups]), 0);
    return reshape(emitter, transpose(emitter, sum, [groups, cb, b, kb, b], [0, 3, 1, 2, 4]), weightShape(conv));
  },
};

/** The same as one product over the positions of all samples, which need not be added up; channels lie last. */
const mergedPointwise: WeightGradientForm = {
  name: 'merged-pointwise',
  applies: (conv) => pointwise.applies(conv) && conv.groups === 1,
  emit(emitter, conv, x, g) {
    const { block: b, batch, channels, filters, output } = conv;
    const positions = elementCount(output);
    const rows = (value: string, count: number): string =>
      reshape(emitter, transpose(emitter, value, [batch, count / b, positions, b], [0, 2, 1, 3]), [batch * positions, count]);
    const product = emitter.emit('FusedMatMul', [rows(x, channels), rows(g, filters)], { transA: 1 }, { domain: 'com.microsoft' });
    return blockedWeight(emitter, product, [channels / b, b, filters / b, 1, b], conv);
  },
};

/** 1x1 with stride 2: the same of the input at the positions that the outputs see, taken by a pool with windows of one element. */
const stridedPointwise: WeightGradientForm = {
  name: 'strided-pointwise',
  applies: ({ stride, ...conv }) => stride === 2 && pointwise.applies({ ...conv, stride: 1 }),
  emit(emitter, conv, x, g) {
    const seen = nchwc(emitter, 'MaxPool', [x], { kernel_shape: [1, 1], strides: [2, 2] });
    const dense: BlockedConv = { ...conv, input: conv.output, stride: 1 };
    return builtInForm(dense).emit(emitter, dense, seen, g);
  },
};

/** Depthwise: every channel of every sample correlates its input with its output gradient; blocked memory is a valid depthwise filter. */
const depthwise: WeightGradientForm = {
  name: 'depthwise',
  applies: ({ kind }) => kind === 'depthwise',
  emit(emitter, conv, x, g) {
    const { batch, channels, input, output, kernel, stride } = conv;
    const extent = extentOf(conv);
    const image = reshape(emitter, x, [1, batch * channels, ...input]);
    const filter = reshape(emitter, g, [batch * channels, 1, ...output]);
    const full = nchwc(emitter, 'Conv', [image, filter], {
      kernel_shape: output,
      pads: extent.pads,
      dilations: [stride, stride],
      strides: [conv.dilation, conv.dilation],
      group: batch * channels,
    });
    const taps = reshape(emitter, cutTo(emitter, full, conv), [batch, channels * elementCount(kernel)]);
    return reshape(emitter, sumOver(emitter, taps, 0), weightShape(conv));
  },
};

export const WEIGHT_GRADIENT_FORMS: readonly WeightGradientForm[] = [
  ...[tallImage, swapped(4), swapped(8), blockedSamples].map(withWholeBatch),
  pointwise,
  mergedPointwise,
  stridedPointwise,
  depthwise,
];

const named = (name: string): WeightGradientForm => {
  const form = WEIGHT_GRADIENT_FORMS.find((f) => f.name === name);
  if (!form) throw new RangeError(`There is no weight gradient form ${name}`);
  return form;
};

const shapeOf = ({ batch, channels, filters, input, kernel, stride, groups }: BlockedConv): ConvShape => ({
  batch,
  channels,
  filters,
  input,
  kernel,
  stride,
  groups,
});

/** The gradient alone, of an input `x` and an output's gradient `g`. */
export function weightGradientGraph(form: WeightGradientForm, conv: BlockedConv): Graph {
  const builder = new GraphBuilder(`${form.name} gradient`);
  builder.input('x', [conv.batch, conv.channels, ...conv.input]);
  builder.input('g', [conv.batch, conv.filters, ...conv.output]);
  builder.output(form.emit(builder, conv, 'x', 'g'));
  return builder.graph;
}

/** The form that is chosen by the costs, such as measurements of this machine, or else the built-in one. `node` is the convolution's name. */
export function weightGradientForm(conv: BlockedConv, costs?: CostTable, node = ''): WeightGradientForm {
  const able = WEIGHT_GRADIENT_FORMS.filter((form) => form.applies(conv));
  const usual = builtInForm(conv);
  const names = able.map((form) => form.name);
  const question = { node, key: JSON.stringify(conv), graphOf: (name: string) => weightGradientGraph(named(name), conv) };
  const chosen = costs?.fastest('blocked-weight-gradient', shapeOf(conv), names, usual.name, question);
  return able.find((form) => form.name === chosen) ?? usual;
}

function builtInForm(conv: BlockedConv): WeightGradientForm {
  const { kernel, stride, output } = conv;
  const [channels, filters] = [channelsPerGroup(conv), conv.filters / conv.groups];
  const taps = elementCount(kernel);
  const sensible = (form: WeightGradientForm): WeightGradientForm | undefined => (form.applies(conv) ? form : undefined);
  /** A product for each sample would write more than is read. */
  const mergingPays = channels * filters > (channels + filters) * elementCount(output);
  const small = output[0] <= 8 && filters * channels >= 16384;
  return (
    sensible(depthwise) ??
    (mergingPays ? sensible(mergedPointwise) : undefined) ??
    sensible(pointwise) ??
    sensible(stridedPointwise) ??
    (taps === 1 ? named('swapped-8') : undefined) ??
    (filters <= 32 ? sensible(named('tall-image')) : undefined) ??
    (stride === 1 && small ? sensible(named('blocked-samples')) : undefined) ??
    named('swapped-4')
  );
}

import { intOf, intsOf, stringOf } from '../../graph/graph';
import { elementCount } from '../../graph/tensor';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { axisWhenLast, prefersChannelsLast, range } from './layout';
import { resizeLowering } from './resize';

const axisOf = (context: LoweringContext, rank: number, fallback = 0): number => {
  const axis = intOf(context.node, 'axis', fallback);
  return axis < 0 ? axis + rank : axis;
};

const transpose: TfjsLowering = (context) => {
  const x = context.input(0);
  return context.tf.transpose(x, [...(intsOf(context.node, 'perm') ?? range(0, x.rank).reverse())]);
};

const concat: TfjsLowering = (context) => {
  const { tf } = context;
  const inputs = range(0, context.node.inputs.length);
  const rank = context.shape(0).length;
  const axis = axisOf(context, rank);
  const filled = inputs.filter((i) => elementCount(context.shape(i)) > 0);
  const parts = filled.length > 0 ? filled : inputs.slice(0, 1);
  if (!prefersChannelsLast(context, parts))
    return tf.concat(
      parts.map((i) => context.input(i)),
      axis,
    );
  return {
    channelsLast: tf.concat(
      parts.map((i) => context.channelsLast(i)),
      axisWhenLast(axis, rank),
    ),
  };
};

const split: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const axis = axisOf(context, x.rank);
  const [total, parts] = [x.shape[axis] ?? 0, node.outputs.length];
  const part = Math.ceil(total / parts);
  const equal = range(0, parts).map((i) => Math.max(0, Math.min(part, total - i * part)));
  const sizes = intsOf(node, 'split') ?? (context.has(1) ? context.numbers(1) : equal);
  let start = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === axis ? start : 0));
    start += size;
    return tf.slice(
      x,
      begin,
      x.shape.map((d, i) => (i === axis ? size : d)),
    );
  });
};

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

const slice: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const starts = intsOf(node, 'starts') ?? context.numbers(1);
  const ends = intsOf(node, 'ends') ?? context.numbers(2);
  const axes = intsOf(node, 'axes') ?? (context.has(3) ? context.numbers(3) : range(0, starts.length));
  const steps = context.has(4) ? context.numbers(4) : starts.map(() => 1);
  const begin = x.shape.map(() => 0);
  const end = [...x.shape];
  const stride = x.shape.map(() => 1);
  const gathered: { axis: number; positions: number[] }[] = [];
  axes.forEach((a, i) => {
    const axis = a < 0 ? a + x.rank : a;
    const size = x.shape[axis] ?? 1;
    const at = (v: number): number => (v < 0 ? v + size : v);
    const [from, to, step] = [at(starts[i] ?? 0), at(ends[i] ?? 0), steps[i] ?? 1];
    if (step < 0) {
      const [first, last] = [clamp(from, 0, size - 1), clamp(to, -1, size - 1)];
      gathered.push({ axis, positions: range(0, Math.ceil((last - first) / step)).map((k) => first + k * step) });
      return;
    }
    begin[axis] = clamp(from, 0, size);
    end[axis] = Math.max(begin[axis], clamp(to, 0, size));
    stride[axis] = step;
  });
  const forward = stride.every((s) => s === 1)
    ? tf.slice(
        x,
        begin,
        end.map((e, i) => e - (begin[i] ?? 0)),
      )
    : tf.stridedSlice(x, begin, end, stride);
  return gathered.reduce((y, { axis, positions }) => take(tf, y, positions, axis), forward);
};

const take = (tf: TfjsModule, x: TfjsTensor, positions: readonly number[], axis: number): TfjsTensor =>
  tf.gather(x, tf.tensor1d(Int32Array.from(positions), 'int32'), axis);

/** Negative indices count from the end. */
const wrapped = (tf: TfjsModule, indices: TfjsTensor, size: number): TfjsTensor =>
  tf.where(tf.less(indices, tf.scalar(0, 'int32')), tf.add(indices, tf.scalar(size, 'int32')), indices);

const gather: TfjsLowering = (context) => {
  const { tf } = context;
  const x = context.input(0);
  const axis = axisOf(context, x.rank);
  return tf.gather(x, wrapped(tf, context.input(1), x.shape[axis] ?? 1), axis);
};

/** Flat positions in a tensor of `shape` that an index along one axis picks, element by element. */
function flatPositions(tf: TfjsModule, indices: TfjsTensor, shape: readonly number[], axis: number): TfjsTensor {
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  const others = Int32Array.from({ length: indices.size }, (_, flat) =>
    indices.shape.reduce((sum, size, i) => {
      const position = Math.floor(flat / elementCount(indices.shape.slice(i + 1))) % size;
      return i === axis ? sum : sum + position * (strides[i] ?? 1);
    }, 0),
  );
  const along = tf.mul(wrapped(tf, indices, shape[axis] ?? 1), tf.scalar(strides[axis] ?? 1, 'int32'));
  return tf.add(tf.reshape(along, [indices.size]), indices.rank < 2 ? tf.scalar(0, 'int32') : tf.tensor1d(others, 'int32'));
}

const gatherElements: TfjsLowering = (context) => {
  const { tf } = context;
  const [x, indices] = [context.input(0), context.input(1)];
  const positions = flatPositions(tf, indices, x.shape, axisOf(context, x.rank));
  return tf.reshape(tf.gather(tf.reshape(x, [x.size]), positions as never), indices.shape);
};

const COMBINE: Readonly<Record<string, (a: number, b: number) => number>> = { mul: (a, b) => a * b, max: Math.max, min: Math.min };

/** Sums and plain writes run on the device; products and extremes, which no kernel has, on the host. */
const scatterElements: TfjsLowering = (context) => {
  const { tf, node } = context;
  const [x, indices, updates] = [context.input(0), context.input(1), context.input(2)];
  const reduction = stringOf(node, 'reduction', 'none');
  const positions = flatPositions(tf, indices, x.shape, axisOf(context, x.rank));
  const combine = COMBINE[reduction];
  if (combine) {
    const result = x.dataSync().slice();
    const given = updates.dataSync();
    positions.dataSync().forEach((at, i) => (result[at] = combine(result[at] ?? 0, given[i] ?? 0)));
    return tf.tensor(result, x.shape, x.dtype);
  }
  const at = tf.reshape(positions, [indices.size, 1]);
  const placed = tf.scatterND(at, tf.reshape(updates, [updates.size]), [x.size]);
  const flat = tf.reshape(x, [x.size]);
  if (reduction === 'add') return tf.reshape(tf.add(flat, placed), x.shape);
  const written = tf.greater(tf.scatterND(at, tf.ones([indices.size], 'int32'), [x.size]), tf.scalar(0, 'int32'));
  return tf.reshape(tf.where(written, placed, flat), x.shape);
};

/** Positions of the input that a padded axis repeats. */
function repeated(mode: string, size: number, before: number, after: number): number[] {
  return range(-before, size + after).map((at) => {
    if (mode === 'edge') return clamp(at, 0, size - 1);
    if (mode === 'wrap') return ((at % size) + size) % size;
    const period = Math.max(1, 2 * (size - 1));
    const folded = ((at % period) + period) % period;
    return folded < size ? folded : period - folded;
  });
}

const pad: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const pads = intsOf(node, 'pads') ?? intsOf(node, 'paddings') ?? context.numbers(1);
  const axes = (context.has(3) ? context.numbers(3) : range(0, x.rank)).map((a) => (a < 0 ? a + x.rank : a));
  const before = range(0, x.rank).map((i) => (axes.includes(i) ? (pads[axes.indexOf(i)] ?? 0) : 0));
  const after = range(0, x.rank).map((i) => (axes.includes(i) ? (pads[axes.indexOf(i) + axes.length] ?? 0) : 0));
  const begin = before.map((p) => Math.max(0, -p));
  const size = x.shape.map((d, i) => d + Math.min(0, before[i] ?? 0) + Math.min(0, after[i] ?? 0));
  const inner = tf.slice(x, begin, size);
  const mode = stringOf(node, 'mode', 'constant');
  const grow = (p: number | undefined): number => Math.max(0, p ?? 0);
  if (mode === 'constant') {
    const value = context.has(2) ? (context.numbers(2)[0] ?? 0) : attributeValue(node);
    return tf.pad(
      inner,
      before.map((p, i): [number, number] => [grow(p), grow(after[i])]),
      value,
    );
  }
  return before.reduce(
    (y, p, axis) =>
      grow(p) + grow(after[axis]) === 0 ? y : take(tf, y, repeated(mode, y.shape[axis] ?? 1, grow(p), grow(after[axis])), axis),
    inner,
  );
};

function attributeValue(node: LoweringContext['node']): number {
  const value = node.attributes.get('value');
  return value?.kind === 'float' || value?.kind === 'int' ? value.value : 0;
}

/** [N, C, H, W] between blocks in the channels and blocks in the plane; DCR takes the block first, CRD the channel. */
const depthToSpace: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const [n = 1, c = 1, h = 1, w = 1] = x.shape;
  const b = intOf(node, 'blocksize', 1);
  const depth = c / (b * b);
  const columnFirst = stringOf(node, 'mode', 'DCR') === 'CRD';
  const split = tf.reshape(x, columnFirst ? [n, depth, b, b, h, w] : [n, b, b, depth, h, w]);
  return tf.reshape(tf.transpose(split, columnFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [n, depth, h * b, w * b]);
};

const spaceToDepth: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const [n = 1, c = 1, h = 1, w = 1] = x.shape;
  const b = intOf(node, 'blocksize', 1);
  const split = tf.reshape(x, [n, c, h / b, b, w / b, b]);
  return tf.reshape(tf.transpose(split, [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b]);
};

const oneHot: TfjsLowering = (context) => {
  const { tf, node } = context;
  const indices = tf.cast(context.input(0), 'int32');
  const depth = context.numbers(1)[0] ?? 1;
  const stated = intOf(node, 'axis', -1);
  const axis = stated < 0 ? stated + indices.rank + 1 : stated;
  const classes = tf.reshape(
    tf.range(0, depth, 1, 'int32'),
    range(0, indices.rank + 1).map((i) => (i === axis ? depth : 1)),
  );
  const hit = tf.equal(tf.expandDims(wrapped(tf, indices, depth), axis), classes);
  const [off, on] = tf.split(context.input(2), 2);
  return tf.where(hit, tf.reshape(on as TfjsTensor, []), tf.reshape(off as TfjsTensor, []));
};

const topK: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const axis = axisOf(context, x.rank, -1);
  const k = context.has(1) ? (context.numbers(1)[0] ?? 1) : intOf(node, 'k', 1);
  const perm = [...range(0, x.rank).filter((i) => i !== axis), axis];
  const back = perm.map((_, i) => perm.indexOf(i));
  const smallest = intOf(node, 'largest', 1) === 0;
  const last = tf.transpose(x, perm);
  const { values, indices } = tf.topk(smallest ? tf.neg(last) : last, k, true);
  return [tf.transpose(smallest ? tf.neg(values) : values, back), tf.transpose(indices, back)];
};

export const movementLowerings: Readonly<Record<string, TfjsLowering>> = {
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Pad: pad,
  Tile: (context) => context.tf.tile(context.input(0), [...context.numbers(1)]),
  Resize: resizeLowering,
  Upsample: resizeLowering,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  OneHot: oneHot,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  TopK: topK,
};

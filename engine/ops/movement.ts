import { type Dim, type Shape, addDims, isKnown, mulDims } from '../graph/dims';
import { intOf, intsOf, stringOf } from '../graph/graph';
import { elementCount, int64, numbersOf } from '../graph/tensor';
import type { CouplingContext, GradientContext, KnownValue, OpRecord, RewriteContext, ShapeContext } from './opRecord';
import { unsupported } from './opRecord';
import { NO_TFJS, NOT_DIFFERENTIABLE, inputType, normaliseAxis } from './shapeHelpers';
import { movementLowerings } from './tfjs/movement';

const common = { domain: '', opsets: [1, 99], outputs: [1, 1], macs: 'none' } as const;

const knownNumbers = (context: ShapeContext, i: number): readonly number[] | undefined => {
  const elements = context.known(i)?.elements;
  return elements?.every(isKnown) ? elements : undefined;
};

const tieOthers = (context: CouplingContext, axes: readonly number[], i = 0, o = 0): void =>
  context.inputShape(i).forEach((_, a) => {
    if (!axes.includes(a)) context.tie(context.in(i, a), context.out(o, a));
  });

/** A known value of other dimensions whose elements are looked up in `known`. */
function pickKnown(known: KnownValue, dims: readonly number[], from: (at: readonly number[]) => readonly number[]): KnownValue {
  const elements = Array.from({ length: elementCount(dims) }, (_, flat): Dim => {
    const at = dims.map((d, i) => Math.floor(flat / elementCount(dims.slice(i + 1))) % d);
    const source = from(at).reduce((index, position, axis) => index * (known.dims[axis] ?? 1) + position, 0);
    return known.elements[source] ?? '?';
  });
  return { dims, elements };
}

const permutation = (node: Parameters<typeof intsOf>[0], rank: number): readonly number[] =>
  intsOf(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);

const transpose: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Transpose',
  inputs: [1, 1],
  shape(context) {
    const x = context.shape(0);
    const [known, perm] = [context.known(0), permutation(context.node, x?.length ?? 0)];
    if (known) {
      const dims = perm.map((p) => known.dims[p] ?? 1);
      context.setKnown(
        0,
        pickKnown(known, dims, (at) => perm.reduce<number[]>((from, p, i) => ((from[p] = at[i] ?? 0), from), [])),
      );
    }
    return [{ type: inputType(context), shape: x && perm.map((p) => x[p] as Dim) }];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const perm = permutation(context.node, context.shape(g).length);
    return [context.emit('Transpose', [g], { perm: perm.map((_, i) => perm.indexOf(i)) })];
  },
  coupling: (context) =>
    permutation(context.node, context.inputShape(0).length).forEach((p, i) => context.tie(context.in(0, p), context.out(0, i))),
};

const axisOf = (context: { node: Parameters<typeof intOf>[0] }, rank: number, fallback = 0): number =>
  normaliseAxis(intOf(context.node, 'axis', fallback), rank);

/** Where each input begins along the axis. */
const offsetsOf = (sizes: readonly number[]): number[] => sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));

const concat: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Concat',
  inputs: [1, Infinity],
  shape(context) {
    const shapes = context.node.inputs.map((_, i) => context.shape(i));
    const parts = context.node.inputs.map((_, i) => context.known(i));
    const first = shapes[0];
    if (!first || shapes.some((s) => !s)) return [{ type: inputType(context) }];
    const axis = axisOf(context, first.length);
    if (first.length === 1 && parts.every((p) => p !== undefined)) {
      const elements = parts.flatMap((p) => p.elements);
      context.setKnown(0, { dims: [elements.length], elements });
    }
    const merge = (i: number): Dim => (shapes as Shape[]).map((s) => s[i] as Dim).reduce((a, b) => (isKnown(a) ? a : b));
    return [
      {
        type: inputType(context),
        shape: first.map((_, i) => (i === axis ? addDims(...(shapes as Shape[]).map((s) => s[i] as Dim)) : merge(i))),
      },
    ];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const axis = axisOf(context, context.shape(g).length);
    const sizes = context.node.inputs.map((name) => context.shape(name)[axis] ?? 0);
    return sizes.length === 1 ? [g] : context.emitAll('Split', [g, context.ints(sizes)], { axis }, sizes.length);
  },
  coupling(context) {
    const axis = axisOf(context, context.outputShape(0).length);
    const offsets = offsetsOf(context.node.inputs.map((_, i) => context.inputShape(i)[axis] ?? 0));
    context.node.inputs.forEach((_, i) => {
      tieOthers(context, [axis], i);
      context.tie(context.in(i, axis), context.out(0, axis), (position) => position + (offsets[i] ?? 0));
    });
  },
};

/** Sizes of the parts: input (opset 13), attribute, or equal. */
function splitSizes(stated: readonly number[] | undefined, total: Dim, parts: number): Dim[] {
  if (stated) return [...stated];
  if (!isKnown(total)) return Array<Dim>(parts).fill('?');
  const part = Math.ceil(total / parts);
  return Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(part, total - i * part)));
}

const split: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Split',
  inputs: [1, 2],
  outputs: [1, Infinity],
  shape(context) {
    const x = context.shape(0);
    const parts = context.node.outputs.length;
    if (!x) return context.node.outputs.map(() => ({ type: inputType(context) }));
    const axis = axisOf(context, x.length);
    const sizes = splitSizes(intsOf(context.node, 'split') ?? knownNumbers(context, 1), x[axis] as Dim, parts);
    return sizes.map((size) => ({ type: inputType(context), shape: x.map((d, i) => (i === axis ? size : d)) }));
  },
  gradient(context) {
    const axis = axisOf(context, context.shape(context.input(0)).length);
    const parts = context.node.outputs.map(
      (name, i) => context.outputGradient(i) ?? context.emit('ConstantOfShape', [context.ints(context.shape(name))]),
    );
    return [context.emit('Concat', parts, { axis })];
  },
  coupling(context) {
    const axis = axisOf(context, context.inputShape(0).length);
    const offsets = offsetsOf(context.node.outputs.map((_, o) => context.outputShape(o)[axis] ?? 0));
    context.node.outputs.forEach((_, o) => {
      tieOthers(context, [axis], 0, o);
      context.tie(context.out(o, axis), context.in(0, axis), (position) => position + (offsets[o] ?? 0));
    });
  },
  rewrite(context) {
    const axis = axisOf(context, context.inputShape(0).length);
    const sizes = context.node.outputs.map((_, o) => context.keptOut(o, axis)?.length ?? context.outputShape(o)[axis] ?? 0);
    if (!context.keptIn(0, axis)) return;
    if (context.opset < 13) context.setAttribute('split', sizes);
    else context.setConstant(1, int64([sizes.length], sizes));
    context.removeAttribute('num_outputs');
  },
};

interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

const clampTo = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

function sliceRange(axis: number, size: number, start: number, end: number, step: number): SliceRange {
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  return step > 0
    ? { axis, start: clampTo(from, 0, size), end: clampTo(to, 0, size), step }
    : { axis, start: clampTo(from, 0, size - 1), end: clampTo(to, -1, size - 1), step };
}

const rangeLength = ({ start, end, step }: SliceRange): number => Math.max(0, Math.ceil((end - start) / step));

/** Ranges from inputs (opset 10) or attributes; undefined unless they are constant. */
function slicesOf(
  node: Parameters<typeof intsOf>[0],
  shape: Shape,
  numbers: (i: number) => readonly number[] | undefined,
): SliceRange[] | undefined {
  const starts = intsOf(node, 'starts') ?? numbers(1);
  const ends = intsOf(node, 'ends') ?? numbers(2);
  if (!starts || !ends) return undefined;
  const axes = intsOf(node, 'axes') ?? (node.inputs[3] ? numbers(3) : undefined) ?? starts.map((_, i) => i);
  const steps = (node.inputs[4] ? numbers(4) : undefined) ?? starts.map(() => 1);
  return axes.map((a, i) => {
    const axis = normaliseAxis(a, shape.length);
    const size = shape[axis];
    return sliceRange(axis, isKnown(size as Dim) ? (size as number) : NaN, starts[i] ?? 0, ends[i] ?? 0, steps[i] ?? 1);
  });
}

const staticSlices = (context: GradientContext | CouplingContext, shape: readonly number[]): SliceRange[] | undefined =>
  slicesOf(context.node, shape, (i) => {
    const tensor = 'constantOf' in context ? context.constantOf(context.input(i)) : context.constant(i);
    return tensor && numbersOf(tensor);
  });

const slice: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Slice',
  inputs: [1, 5],
  shape(context) {
    const x = context.shape(0);
    const type = inputType(context);
    const ranges = x && slicesOf(context.node, x, (i) => knownNumbers(context, i));
    if (!x || !ranges) return [{ type, shape: x?.map(() => '?') }];
    const known = context.known(0);
    if (known) {
      const rangeAt = (axis: number): SliceRange =>
        ranges.find((r) => r.axis === axis) ?? { axis, start: 0, end: known.dims[axis] ?? 1, step: 1 };
      const taken = known.dims.map((_, axis) => rangeAt(axis));
      context.setKnown(
        0,
        pickKnown(known, taken.map(rangeLength), (at) => at.map((i, axis) => (taken[axis]?.start ?? 0) + i * (taken[axis]?.step ?? 1))),
      );
    }
    const shape = x.map((d, i): Dim => {
      const found = ranges.find((r) => r.axis === i);
      if (!found) return d;
      const length = rangeLength(found);
      return Number.isNaN(length) ? '?' : length;
    });
    return [{ type, shape }];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    const shape = context.shape(context.input(0));
    if (!g) return [];
    const ranges = staticSlices(context, shape) ?? context.fail('its ranges must be constant to be differentiated');
    return [ranges.reduce((value, range) => scatterRange(context, value, range, shape[range.axis] ?? 1), g)];
  },
  coupling(context) {
    const shape = context.inputShape(0);
    const ranges = staticSlices(context, shape);
    if (!ranges) return;
    tieOthers(
      context,
      ranges.map((r) => r.axis),
    );
    for (const { axis, start, step } of ranges)
      context.tie(context.out(0, axis), context.in(0, axis), (position) => start + position * step);
  },
  rewrite: rewriteSlice,
};

/** Puts the slice back among zeros: contiguous ranges by Concat, strided ones by a 0/1 selection matrix. */
function scatterRange(context: GradientContext, g: string, range: SliceRange, size: number): string {
  const shape = context.shape(g);
  const zeros = (count: number): string[] =>
    count === 0 ? [] : [context.emit('ConstantOfShape', [context.ints(shape.map((d, i) => (i === range.axis ? count : d)))])];
  if (range.step === 1) {
    const parts = [...zeros(range.start), g, ...zeros(size - range.end)];
    return parts.length === 1 ? g : context.emit('Concat', parts, { axis: range.axis });
  }
  const inner = elementCount(shape.slice(range.axis + 1));
  const length = rangeLength(range);
  const selection = new Float32Array(size * length);
  for (let i = 0; i < length; i++) selection[(range.start + i * range.step) * length + i] = 1;
  const rows = context.emit('Reshape', [g, context.ints([elementCount(shape.slice(0, range.axis)), length, inner])]);
  const spread = context.emit('MatMul', [context.floats([size, length], selection), rows]);
  return context.emit('Reshape', [spread, context.ints(shape.map((d, i) => (i === range.axis ? size : d)))]);
}

/** A slice along a cut axis takes the positions that are left of its own: they are contiguous when the step is one. */
function rewriteSlice(context: RewriteContext): void {
  const shape = context.inputShape(0);
  const read = (i: number): readonly number[] | undefined => {
    const tensor = context.constant(i);
    return tensor && numbersOf(tensor);
  };
  const ranges = slicesOf(context.node, shape, read);
  if (!ranges?.some((r) => context.keptIn(0, r.axis))) return;
  const adjusted = ranges.map((r) => {
    const kept = context.keptIn(0, r.axis);
    if (!kept || r.step !== 1) return r;
    return { ...r, start: kept.filter((p) => p < r.start).length, end: kept.filter((p) => p < r.end).length };
  });
  const starts = adjusted.map((r) => r.start);
  const ends = adjusted.map((r, i) => (r === ranges[i] ? (read(2)?.[i] ?? intsOf(context.node, 'ends')?.[i] ?? r.end) : r.end));
  if (context.constant(1)) {
    context.setConstant(1, int64([starts.length], starts));
    context.setConstant(2, int64([ends.length], ends));
  } else {
    context.setAttribute('starts', starts);
    context.setAttribute('ends', ends);
  }
}

const gather: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Gather',
  inputs: [2, 2],
  shape(context) {
    const [x, at] = [context.shape(0), context.shape(1)];
    const type = inputType(context);
    if (!x || !at) return [{ type }];
    const axis = axisOf(context, x.length);
    const [known, indices] = [context.known(0), context.known(1)];
    if (known?.dims.length === 1 && indices) {
      const elements = indices.elements.map((i): Dim =>
        isKnown(i) ? (known.elements[normaliseAxis(i, known.elements.length)] ?? '?') : '?',
      );
      context.setKnown(0, { dims: indices.dims, elements });
    }
    return [{ type, shape: [...x.slice(0, axis), ...at, ...x.slice(axis + 1)] }];
  },
  /** Adds every row to where it came from, by a product with the 0/1 matrix of the indices. */
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g || !context.wants(0)) return [];
    const x = context.shape(context.input(0));
    const axis = axisOf(context, x.length);
    const [size, inner, outer] = [x[axis] ?? 1, elementCount(x.slice(axis + 1)), elementCount(x.slice(0, axis))];
    const count = elementCount(context.shape(context.input(1)));
    const flat = context.emit('Reshape', [context.input(1), context.ints([count])]);
    const hot = context.emit('OneHot', [flat, context.ints([size]), context.floats([2], [0, 1])], { axis: 0 });
    const rows = context.emit('Reshape', [g, context.ints([outer, count, inner])]);
    return [context.emit('Reshape', [context.emit('MatMul', [hot, rows]), context.ints(x)])];
  },
  coupling(context) {
    const indices = context.constant(1);
    const shape = context.inputShape(0);
    const axis = axisOf(context, shape.length);
    const rank = indices?.dims.length ?? context.inputShape(1).length;
    shape.forEach((_, i) => i !== axis && context.tie(context.in(0, i), context.out(0, i < axis ? i : i + rank - 1)));
    if (indices && rank === 1) {
      const at = numbersOf(indices);
      context.tie(context.out(0, axis), context.in(0, axis), (position) => normaliseAxis(at[position] ?? 0, shape[axis] ?? 1));
    }
  },
  rewrite(context) {
    const axis = axisOf(context, context.inputShape(0).length);
    const [kept, out, indices] = [context.keptIn(0, axis), context.keptOut(0, axis), context.constant(1)];
    if (!kept || !indices) return;
    const at = numbersOf(indices).map((i) => normaliseAxis(i, context.inputShape(0)[axis] ?? 1));
    const chosen = (out ?? at.map((_, i) => i)).map((i) => kept.indexOf(at[i] ?? 0));
    context.setConstant(1, int64([chosen.length], chosen));
  },
};

function padShape(context: ShapeContext) {
  const x = context.shape(0);
  const pads = intsOf(context.node, 'pads') ?? intsOf(context.node, 'paddings') ?? knownNumbers(context, 1);
  const type = inputType(context);
  if (!x || !pads) return [{ type, shape: x?.map(() => '?') }];
  const axes = context.node.inputs[3] ? knownNumbers(context, 3)?.map((a) => normaliseAxis(a, x.length)) : x.map((_, i) => i);
  if (!axes) return [{ type, shape: x.map(() => '?') }];
  return [
    {
      type,
      shape: x.map((d, i) =>
        axes.includes(i) ? addDims(d, (pads[axes.indexOf(i)] ?? 0) + (pads[axes.indexOf(i) + axes.length] ?? 0)) : d,
      ),
    },
  ];
}

const pad: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Pad',
  inputs: [1, 4],
  shape: padShape,
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    if (stringOf(context.node, 'mode', 'constant') !== 'constant') context.fail('only constant padding can be differentiated');
    const x = context.shape(context.input(0));
    const tensor = context.constantOf(context.input(1));
    const pads = tensor ? numbersOf(tensor) : context.fail('its pads must be constant to be differentiated');
    if (pads.some((p) => p < 0)) context.fail('negative pads cannot be differentiated');
    const begin = pads.slice(0, x.length);
    return [context.emit('Slice', [g, context.ints(begin), context.ints(x.map((d, i) => d + (begin[i] ?? 0)))])];
  },
  /** Inner positions are those of the input; the border's constant channels follow whatever they meet later. */
  coupling(context) {
    const [x, y] = [context.inputShape(0), context.outputShape(0)];
    const tensor = context.constant(1);
    const pads = intsOf(context.node, 'pads') ?? (tensor && numbersOf(tensor));
    const shifts = pads?.length === 2 * x.length && pads.every((p) => p >= 0) && stringOf(context.node, 'mode', 'constant') === 'constant';
    x.forEach((size, i) => {
      if (size === y[i]) context.tie(context.in(0, i), context.out(0, i));
      else if (shifts) context.tie(context.in(0, i), context.out(0, i), (position) => position + (pads[i] ?? 0));
    });
  },
  rewrite(context) {
    const tensor = context.constant(1);
    const pads = intsOf(context.node, 'pads') ?? (tensor && numbersOf(tensor));
    const x = context.inputShape(0);
    if (!pads) return;
    const adjusted = [...pads];
    x.forEach((size, i) => {
      const kept = context.keptOut(0, i);
      const begin = pads[i] ?? 0;
      if (!kept || size === context.outputShape(0)[i]) return;
      adjusted[i] = kept.filter((p) => p < begin).length;
      adjusted[i + x.length] = kept.filter((p) => p >= begin + size).length;
    });
    if (tensor) context.setConstant(1, int64([adjusted.length], adjusted));
    else context.setAttribute('pads', adjusted);
  },
};

const tile: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Tile',
  inputs: [2, 2],
  shape(context) {
    const [x, repeats] = [context.shape(0), knownNumbers(context, 1)];
    return [{ type: inputType(context), shape: x?.map((d, i) => (repeats ? mulDims(d, repeats[i] ?? 1) : '?')) }];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const x = context.shape(context.input(0));
    const split = context.emit('Reshape', [g, context.ints(x.flatMap((d, i) => [(context.shape(g)[i] ?? 1) / d, d]))]);
    return [context.emit('ReduceSum', [split, context.ints(x.map((_, i) => 2 * i))], { keepdims: 0 })];
  },
  coupling: (context) =>
    context.inputShape(0).forEach((size, i) => context.tie(context.out(0, i), context.in(0, i), (position) => position % size)),
};

function resizeShape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  const old = context.node.op === 'Upsample' || (context.opset < 11 && context.node.op === 'Resize');
  const scalesTensor = context.constant(old ? 1 : 2);
  const stated = context.node.attributes.get('scales');
  const scales =
    stated?.kind === 'floats' ? stated.value : scalesTensor && elementCount(scalesTensor.dims) > 0 ? numbersOf(scalesTensor) : undefined;
  const sizes = old ? undefined : context.known(3)?.elements;
  if (!x || (!scales && !sizes)) return [{ type, shape: x?.map(() => '?') }];
  const axes = intsOf(context.node, 'axes')?.map((a) => normaliseAxis(a, x.length)) ?? x.map((_, i) => i);
  const policy = stringOf(context.node, 'keep_aspect_ratio_policy', 'stretch');
  const fit = policy !== 'stretch' && sizes ? aspectScale(x, sizes, axes, policy) : undefined;
  const shape = x.map((d, i): Dim => {
    const k = axes.indexOf(i);
    if (k < 0) return d;
    if (sizes) return fit !== undefined && isKnown(d) ? Math.round(d * fit) : (sizes[k] ?? '?');
    const scale = scales?.[k] ?? 1;
    return isKnown(d) ? Math.floor(d * scale) : scale === 1 ? d : '?';
  });
  return [{ type, shape }];
}

function aspectScale(x: Shape, sizes: readonly Dim[], axes: readonly number[], policy: string): number | undefined {
  const ratios = axes.map((a, k) => Number(sizes[k]) / Number(x[a]));
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return Number.isFinite(scale) ? scale : undefined;
}

/** Nearest by whole factors: sum of the copies. */
const resize: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Resize',
  inputs: [1, 4],
  shape: resizeShape,
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const [x, y] = [context.shape(context.input(0)), context.shape(g)];
    const factors = x.map((d, i) => (y[i] ?? 1) / d);
    const mode = stringOf(context.node, 'mode', 'nearest');
    if (mode !== 'nearest' || factors.some((f) => !Number.isInteger(f)))
      context.fail('only nearest resizing by whole factors can be differentiated');
    const split = context.emit('Reshape', [g, context.ints(x.flatMap((d, i) => [d, factors[i] ?? 1]))]);
    return [context.emit('ReduceSum', [split, context.ints(x.map((_, i) => 2 * i + 1))], { keepdims: 0 })];
  },
  coupling(context) {
    if (context.input(3) && !context.constant(3)) return;
    context.inputShape(0).forEach((d, i) => {
      if (d === context.outputShape(0)[i]) context.tie(context.in(0, i), context.out(0, i));
    });
  },
  rewrite(context) {
    const sizes = context.constant(3);
    if (!sizes) return;
    const stated = numbersOf(sizes);
    const kept = stated.map((d, i) => context.keptOut(0, i)?.length ?? d);
    if (kept.some((d, i) => d !== stated[i])) context.setConstant(3, int64([kept.length], kept));
  },
};

const depthToSpace = (op: string, toSpace: boolean): Omit<OpRecord, 'tfjs'> => ({
  ...common,
  op,
  inputs: [1, 1],
  shape(context) {
    const x = context.shape(0);
    const b = intOf(context.node, 'blocksize', 1);
    if (!x) return [{ type: inputType(context) }];
    const [n, c, h, w] = x as [Dim, Dim, Dim, Dim];
    const over = (d: Dim, by: number): Dim => (isKnown(d) ? d / by : '?');
    return [
      {
        type: inputType(context),
        shape: toSpace ? [n, over(c, b * b), mulDims(h, b), mulDims(w, b)] : [n, mulDims(c, b * b), over(h, b), over(w, b)],
      },
    ];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const blocksize = intOf(context.node, 'blocksize', 1);
    if (toSpace && stringOf(context.node, 'mode', 'DCR') !== 'DCR') context.fail('mode CRD cannot be differentiated; use DCR');
    return [context.emit(toSpace ? 'SpaceToDepth' : 'DepthToSpace', [g], { blocksize })];
  },
  coupling: (context) => coupleBlocks(context, toSpace),
});

/** A channel of the wide side is one position of a block of a channel of the narrow side; whole blocks stay or go. */
function coupleBlocks(context: CouplingContext, toSpace: boolean): void {
  const block = intOf(context.node, 'blocksize', 1) ** 2;
  const [narrow, wide] = toSpace ? [context.out(0, 1), context.in(0, 1)] : [context.in(0, 1), context.out(0, 1)];
  const channels = (toSpace ? context.outputShape(0) : context.inputShape(0))[1] ?? 1;
  const isColumnMajor = toSpace && stringOf(context.node, 'mode', 'DCR') === 'CRD';
  context.tie(context.in(0, 0), context.out(0, 0));
  context.tie(wide, narrow, (position) => (isColumnMajor ? Math.floor(position / block) : position % channels));
}

const oneHot: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'OneHot',
  inputs: [3, 3],
  shape(context) {
    const x = context.shape(0);
    const depth = context.known(1)?.elements[0] ?? '?';
    const type = inputType(context, 2);
    if (!x) return [{ type }];
    const axis = normaliseAxis(intOf(context.node, 'axis', -1), x.length + 1);
    return [{ type, shape: [...x.slice(0, axis), depth, ...x.slice(axis)] }];
  },
  gradient: NOT_DIFFERENTIABLE,
  coupling: unsupported('its classes are computed'),
};

/** x[..., index[...], ...] along an axis, by index of the same rank. */
const gatherElements: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'GatherElements',
  inputs: [2, 2],
  shape: (context) => [{ type: inputType(context), shape: context.shape(1) }],
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const x = context.shape(context.input(0));
    const zeros = context.emit('ConstantOfShape', [context.ints(x)]);
    return [context.emit('ScatterElements', [zeros, context.input(1), g], { axis: axisOf(context, x.length), reduction: 'add' })];
  },
  coupling: unsupported('it picks elements by computed indices'),
};

const scatterElements: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'ScatterElements',
  inputs: [3, 3],
  shape: (context) => [{ type: inputType(context), shape: context.shape(0) }],
  gradient: unsupported('the gradient of a scatter is not offered'),
  coupling: unsupported('it writes to computed indices'),
};

const topK: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'TopK',
  inputs: [1, 2],
  outputs: [2, 2],
  shape(context) {
    const x = context.shape(0);
    const stated = intOf(context.node, 'k', -1);
    const size: Dim = context.known(1)?.elements[0] ?? (stated >= 0 ? stated : '?');
    const axis = x && axisOf(context, x.length, -1);
    const shape = x?.map((d, i) => (i === axis ? size : d));
    return [
      { type: inputType(context), shape },
      { type: 'int64', shape },
    ];
  },
  gradient: unsupported('the gradient of TopK is not offered'),
  coupling: unsupported('it orders the values'),
};

const records: readonly Omit<OpRecord, 'tfjs'>[] = [
  transpose,
  concat,
  split,
  slice,
  gather,
  pad,
  tile,
  resize,
  { ...resize, op: 'Upsample' },
  depthToSpace('DepthToSpace', true),
  depthToSpace('SpaceToDepth', false),
  oneHot,
  gatherElements,
  scatterElements,
  topK,
];

export const movementRecords: readonly OpRecord[] = records.map((record) => ({ ...record, tfjs: movementLowerings[record.op] ?? NO_TFJS }));

import { type Dim, type Shape, divDims, isKnown, mulDims, sameDim } from '../graph/dims';
import { intOf, intsOf } from '../graph/graph';
import { type ElementType, elementCount, int64, numbersOf } from '../graph/tensor';
import type { CouplingContext, GradientRule, KnownValue, OpRecord, RewriteContext, ShapeContext } from './opRecord';
import { unsupported } from './opRecord';
import { type Factor, carrierOf, commonFactors, factorRuns } from './reshapeFactors';
import { NO_TFJS, NOT_DIFFERENTIABLE, elementwiseCoupling, inputType, normaliseAxis, sameAsInput, tieBroadcast } from './shapeHelpers';
import { shapeLowerings } from './tfjs/shape';

const common = { domain: '', opsets: [1, 99], outputs: [1, 1], macs: 'none' } as const;

/** Back to the shape of the input. */
const reshapeBack: GradientRule = (context) => {
  const g = context.outputGradient(0);
  return g ? [context.emit('Reshape', [g, context.ints(context.shape(context.input(0)))])] : [];
};

/** Same elements in another shape: known values pass through. */
function passKnown(context: ShapeContext, shape: Shape | undefined): void {
  const known = context.known(0);
  if (known && shape?.every(isKnown)) context.setKnown(0, { dims: shape, elements: known.elements });
}

function reshapeShape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  const target = intsOf(context.node, 'shape') ?? context.known(1)?.elements;
  if (!target) {
    const rank = context.input(1)?.shape?.[0];
    return [{ type, shape: typeof rank === 'number' ? Array<Dim>(rank).fill('?') : undefined }];
  }
  const zeroIsZero = intOf(context.node, 'allowzero', 0) === 1;
  const copied = target.map((d, i): Dim => (d === 0 && !zeroIsZero ? (x?.[i] ?? '?') : d));
  const shape = copied.map((d, i): Dim => (d === -1 ? inferredDim(x, copied, i) : d));
  if (x?.every(isKnown) && shape.every(isKnown) && elementCount(x) !== elementCount(shape))
    context.fail(`${elementCount(x)} elements do not fit shape [${shape.join(', ')}]`);
  passKnown(context, shape);
  return [{ type, shape }];
}

/** The dimension that -1 stands for. */
function inferredDim(x: Shape | undefined, shape: Shape, at: number): Dim {
  if (!x) return '?';
  const [rest, own] = [shape.filter((_, i) => i !== at), [...x]];
  for (const d of [...rest]) {
    const match = own.findIndex((o) => sameDim(o, d));
    if (match < 0) continue;
    own.splice(match, 1);
    rest.splice(rest.indexOf(d), 1);
  }
  return divDims(mulDims(...own), mulDims(...rest));
}

/** Axes that stay are tied; where axes split or merge, the channels are those of one factor and the others stay whole. */
function reshapeCoupling(context: CouplingContext): void {
  const [x, y] = [context.inputShape(0), context.outputShape(0)];
  if (elementCount(x) === 0 || (context.node.op === 'Reshape' && context.input(1) && !context.constant(1))) return;
  x.forEach((size, axis) => size === 1 && context.free(context.in(0, axis)));
  y.forEach((size, axis) => size === 1 && context.free(context.out(0, axis)));
  for (const run of factorRuns(commonFactors(x, y) ?? [])) {
    const carrier = carrierOf(run, x, y, context.channelAxis(0));
    if (carrier) tieCarrier(context, run, carrier);
  }
}

function tieCarrier(context: CouplingContext, run: readonly Factor[], carrier: Factor): void {
  const [from, to] = [context.in(0, carrier.input), context.out(0, carrier.output)];
  const parts = (side: 'input' | 'output'): Factor[] => run.filter((f) => f[side] === carrier[side]);
  const place = (factors: readonly Factor[]): ((position: number) => number) => {
    const stride = elementCount(factors.slice(factors.indexOf(carrier) + 1).map((f) => f.size));
    return (position) => Math.floor(position / stride) % carrier.size;
  };
  const [ofInput, ofOutput] = [place(parts('input')), place(parts('output'))];
  context.tieWithin(from, ofInput);
  const first = firstPositions(context.inputShape(0)[carrier.input] ?? 0, ofInput);
  context.tie(to, from, (position) => first[ofOutput(position)] ?? -1);
  for (const { input, output } of run) {
    if (input !== carrier.input) context.lock(context.in(0, input), WHOLE);
    if (output !== carrier.output) context.lock(context.out(0, output), WHOLE);
  }
}

const WHOLE = 'it rearranges this axis, which must stay whole';

/** First position of every class. */
function firstPositions(size: number, classOf: (position: number) => number): number[] {
  const first: number[] = [];
  for (let position = size - 1; position >= 0; position--) first[classOf(position)] = position;
  return first;
}

/** Sizes that lost positions; 0 and -1 follow the input. */
function reshapeRewrite(context: RewriteContext): void {
  const before = context.outputShape(0);
  const constant = context.constant(1);
  if (!constant) return;
  const stated = numbersOf(constant);
  const sizes = stated.map((d, i) => {
    const kept = context.keptOut(0, i);
    return d > 0 && kept ? kept.length : d;
  });
  const zeros = sizes.filter((d) => d === 0).length;
  if (sizes.some((d, i) => d !== stated[i]) && (zeros === 0 || before.length > 0)) context.setConstant(1, int64([sizes.length], sizes));
}

const reshape: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Reshape',
  inputs: [1, 2],
  shape: reshapeShape,
  gradient: reshapeBack,
  coupling: reshapeCoupling,
  rewrite: reshapeRewrite,
};

const flatten: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Flatten',
  inputs: [1, 1],
  shape(context) {
    const x = context.shape(0);
    if (!x) return [{ type: inputType(context) }];
    const axis = normaliseAxis(intOf(context.node, 'axis', 1), x.length);
    return [{ type: inputType(context), shape: [mulDims(...x.slice(0, axis)), mulDims(...x.slice(axis))] }];
  },
  gradient: reshapeBack,
  coupling: reshapeCoupling,
};

function axesInput(context: ShapeContext): readonly number[] | undefined {
  const known = context.known(1)?.elements;
  return intsOf(context.node, 'axes') ?? (known?.every(isKnown) ? known : undefined);
}

const squeeze: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Squeeze',
  inputs: [1, 2],
  shape(context) {
    const x = context.shape(0);
    const axes = axesInput(context)?.map((a) => normaliseAxis(a, x?.length ?? 0));
    if (!x || (!axes && context.node.inputs[1])) return [{ type: inputType(context) }];
    const shape = x.filter((d, i) => (axes ? !axes.includes(i) : d !== 1));
    passKnown(context, shape);
    return [{ type: inputType(context), shape }];
  },
  gradient: reshapeBack,
  coupling: reshapeCoupling,
};

const unsqueeze: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Unsqueeze',
  inputs: [1, 2],
  shape(context) {
    const [x, axes] = [context.shape(0), axesInput(context)];
    if (!x || !axes) return [{ type: inputType(context) }];
    const rank = x.length + axes.length;
    const ones = new Set(axes.map((a) => normaliseAxis(a, rank)));
    const rest = [...x];
    const shape = Array.from({ length: rank }, (_, i): Dim => (ones.has(i) ? 1 : (rest.shift() ?? 1)));
    passKnown(context, shape);
    return [{ type: inputType(context), shape }];
  },
  gradient: reshapeBack,
  coupling: reshapeCoupling,
};

const shapeOp: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Shape',
  inputs: [1, 1],
  shape(context) {
    const x = context.shape(0);
    if (!x) return [{ type: 'int64' }];
    const clamp = (v: number): number => Math.min(Math.max(v < 0 ? v + x.length : v, 0), x.length);
    const part = x.slice(clamp(intOf(context.node, 'start', 0)), clamp(intOf(context.node, 'end', x.length)));
    context.setKnown(0, { dims: [part.length], elements: part });
    return [{ type: 'int64', shape: [part.length] }];
  },
  gradient: () => [],
  coupling: (context) => context.inputShape(0).forEach((_, i) => context.free(context.in(0, i))),
};

const size: Omit<OpRecord, 'tfjs'> = {
  ...shapeOp,
  op: 'Size',
  shape(context) {
    const x = context.shape(0);
    if (x) context.setKnown(0, { dims: [], elements: [mulDims(...x)] });
    return [{ type: 'int64', shape: [] }];
  },
};

function expandShape(context: ShapeContext) {
  const [x, target] = [context.shape(0), context.known(1)?.elements];
  const type = inputType(context);
  if (!x || !target) return [{ type }];
  const rank = Math.max(x.length, target.length);
  const at = (s: Shape, i: number): Dim => s[i - rank + s.length] ?? 1;
  const shape = Array.from({ length: rank }, (_, i): Dim =>
    at(target, i) === 1 ? at(x, i) : at(x, i) === 1 || at(x, i) === '?' ? at(target, i) : at(x, i),
  );
  const known = context.known(0);
  if (known?.elements.length === 1 && shape.every(isKnown) && elementCount(shape) <= 64)
    context.setKnown(0, { dims: shape, elements: Array<Dim>(elementCount(shape)).fill(known.elements[0] as Dim) });
  return [{ type, shape }];
}

const expand: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Expand',
  inputs: [2, 2],
  shape: expandShape,
  gradient(context) {
    const g = context.outputGradient(0);
    return g ? [context.unbroadcast(g, 0)] : [];
  },
  coupling(context) {
    if (context.constant(1)) tieBroadcast(context, 0, context.outputShape(0));
  },
  rewrite(context) {
    const constant = context.constant(1);
    if (!constant) return;
    const sizes = numbersOf(constant);
    const offset = context.outputShape(0).length - sizes.length;
    const kept = sizes.map((d, i) => context.keptOut(0, i + offset)?.length ?? d);
    if (kept.some((d, i) => d !== sizes[i]))
      context.setConstant(
        1,
        int64(
          [kept.length],
          kept.map((d, i) => (sizes[i] === 1 ? 1 : d)),
        ),
      );
  },
};

const constant: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Constant',
  inputs: [0, 0],
  shape(context) {
    const value = context.node.attributes.get('value');
    if (value?.kind === 'tensor') {
      const { type, dims } = value.value;
      if (ArrayBuffer.isView(value.value.data) && elementCount(dims) <= 1024)
        context.setKnown(0, { dims, elements: numbersOf(value.value) });
      return [{ type, shape: dims }];
    }
    const scalar = (type: ElementType, elements: readonly number[], dims: readonly number[]) => {
      context.setKnown(0, { dims, elements });
      return [{ type, shape: dims }];
    };
    for (const { kind, value: v } of [...context.node.attributes.values()].flatMap((a) => (a.kind === 'opaque' ? [] : [a]))) {
      if (kind === 'int') return scalar('int64', [v], []);
      if (kind === 'ints') return scalar('int64', v, [v.length]);
      if (kind === 'float') return scalar('float32', [v], []);
      if (kind === 'floats') return scalar('float32', v, [v.length]);
      if (kind === 'string') return [{ type: 'string', shape: [] }];
      if (kind === 'strings') return [{ type: 'string', shape: [v.length] }];
    }
    return context.fail('has no value');
  },
  gradient: () => [],
  coupling: unsupported('a constant that is not an initializer keeps its size'),
};

const constantOfShape: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'ConstantOfShape',
  inputs: [1, 1],
  shape(context) {
    const value = context.node.attributes.get('value');
    const tensor = value?.kind === 'tensor' ? value.value : undefined;
    const known: KnownValue | undefined = context.known(0);
    const type = tensor?.type ?? 'float32';
    if (!known) return [{ type }];
    if (known.elements.every(isKnown) && elementCount(known.elements) <= 64)
      context.setKnown(0, {
        dims: known.elements,
        elements: Array<Dim>(elementCount(known.elements)).fill(tensor ? (numbersOf(tensor)[0] ?? 0) : 0),
      });
    return [{ type, shape: known.elements }];
  },
  gradient: () => [],
  coupling: unsupported('its size is computed'),
};

const identity: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Identity',
  inputs: [1, 1],
  shape(context) {
    const known = context.known(0);
    if (known) context.setKnown(0, known);
    return sameAsInput(context);
  },
  gradient: (context) => [context.outputGradient(0)],
  coupling: elementwiseCoupling,
};

/** ONNX's numbers of element types, as `to` of Cast gives them. */
const CAST_TYPES: Readonly<Record<number, ElementType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
  24: 'float8e8m0',
  25: 'uint2',
  26: 'int2',
};
const FLOATS: ReadonlySet<ElementType> = new Set(['float32', 'float64', 'float16', 'bfloat16']);

const cast: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Cast',
  inputs: [1, 1],
  shape(context) {
    const type =
      CAST_TYPES[intOf(context.node, 'to', 1)] ??
      context.fail(`casts to element type ${intOf(context.node, 'to', 0)}, which ONNX does not define`);
    const known = context.known(0);
    if (known && type !== 'bool') context.setKnown(0, known);
    return [{ type, shape: context.shape(0) }];
  },
  gradient(context) {
    const g = context.outputGradient(0);
    const from = context.type(context.input(0));
    if (!g || !FLOATS.has(from)) return [];
    const code = Object.entries(CAST_TYPES).find(([, type]) => type === from)?.[0] ?? '1';
    return [context.emit('Cast', [g], { to: Number(code) })];
  },
  coupling: elementwiseCoupling,
};

const castLike: Omit<OpRecord, 'tfjs'> = {
  ...cast,
  op: 'CastLike',
  inputs: [2, 2],
  shape: (context) => [{ type: inputType(context, 1), shape: context.shape(0) }],
  gradient: (context) => [context.outputGradient(0)],
};

const range: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'Range',
  inputs: [3, 3],
  shape(context) {
    const [start, limit, delta] = [0, 1, 2].map((i) => context.known(i)?.elements[0]);
    const type = inputType(context);
    if (typeof start !== 'number' || typeof limit !== 'number' || typeof delta !== 'number')
      return [{ type, shape: start === 0 && delta === 1 && limit !== undefined ? [limit] : ['?'] }];
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    context.setKnown(0, { dims: [count], elements: Array.from({ length: Math.min(count, 1024) }, (_, i) => start + i * delta) });
    return [{ type, shape: [count] }];
  },
  gradient: NOT_DIFFERENTIABLE,
  coupling: unsupported('its size is computed'),
};

const records: readonly Omit<OpRecord, 'tfjs'>[] = [
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  shapeOp,
  size,
  expand,
  constant,
  constantOfShape,
  identity,
  cast,
  castLike,
  range,
];

export const shapeRecords: readonly OpRecord[] = records.map((record) => ({ ...record, tfjs: shapeLowerings[record.op] ?? NO_TFJS }));

import { intOf, intsOf } from '../../graph/graph';
import { type ElementType, elementCount, numbersOf } from '../../graph/tensor';
import type { LoweringContext, TfjsLowering, TfjsModule, TfjsTensor } from '../opRecord';
import { prefersChannelsLast } from './layout';

/** The element type that stands for one of ONNX's. */
export function tfjsType(type: ElementType): 'float32' | 'int32' | 'bool' {
  if (type === 'bool') return 'bool';
  return type.startsWith('float') || type.startsWith('bfloat') ? 'float32' : 'int32';
}

const ints = (tf: TfjsModule, values: readonly number[], dims = [values.length]): TfjsTensor =>
  tf.tensor(Int32Array.from(values), dims, 'int32');

const reshape: TfjsLowering = (context) => {
  const { tf, node } = context;
  const x = context.input(0);
  const target = intsOf(node, 'shape') ?? context.numbers(1);
  const shape = target.map((d, i) => (d === 0 && intOf(node, 'allowzero', 0) === 0 ? (x.shape[i] ?? 1) : d));
  const rest = elementCount(shape.filter((d) => d !== -1));
  return tf.reshape(
    x,
    shape.map((d) => (d === -1 ? (rest === 0 ? 0 : x.size / rest) : d)),
  );
};

const flatten: TfjsLowering = (context) => {
  const x = context.input(0);
  const stated = intOf(context.node, 'axis', 1);
  const axis = stated < 0 ? stated + x.rank : stated;
  return context.tf.reshape(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))]);
};

const axesOf = (context: LoweringContext): readonly number[] | undefined =>
  intsOf(context.node, 'axes') ?? (context.has(1) ? context.numbers(1) : undefined);

const squeeze: TfjsLowering = (context) => {
  const x = context.input(0);
  const axes = axesOf(context)?.map((a) => (a < 0 ? a + x.rank : a));
  return context.tf.reshape(
    x,
    x.shape.filter((d, i) => (axes ? !axes.includes(i) : d !== 1)),
  );
};

const unsqueeze: TfjsLowering = (context) => {
  const x = context.input(0);
  const axes = axesOf(context) ?? [];
  const rank = x.rank + axes.length;
  const ones = new Set(axes.map((a) => (a < 0 ? a + rank : a)));
  const rest = [...x.shape];
  return context.tf.reshape(
    x,
    Array.from({ length: rank }, (_, i) => (ones.has(i) ? 1 : (rest.shift() ?? 1))),
  );
};

const shapeOf: TfjsLowering = (context) => {
  const shape = context.shape(0);
  const end = intOf(context.node, 'end', shape.length);
  return ints(context.tf, shape.slice(intOf(context.node, 'start', 0), end));
};

const expand: TfjsLowering = (context) => {
  const { tf } = context;
  const x = context.input(0);
  return tf.broadcastTo(x, tf.broadcast_util.assertAndGetBroadcastShape(x.shape, [...context.numbers(1)]));
};

/** Numbers of a type as a tensor of tfjs. */
function tensorOf(tf: TfjsModule, type: ElementType, values: readonly number[], dims: readonly number[]): TfjsTensor {
  const kind = tfjsType(type);
  const data = kind === 'float32' ? Float32Array.from(values) : kind === 'int32' ? Int32Array.from(values) : Uint8Array.from(values);
  return tf.tensor(data, [...dims], kind);
}

const constant: TfjsLowering = (context) => {
  const { tf, node } = context;
  for (const attribute of node.attributes.values())
    switch (attribute.kind) {
      case 'tensor':
        return tensorOf(tf, attribute.value.type, numbersOf(attribute.value), attribute.value.dims);
      case 'int':
        return ints(tf, [attribute.value], []);
      case 'ints':
        return ints(tf, attribute.value);
      case 'float':
        return tf.scalar(attribute.value);
      case 'floats':
        return tf.tensor1d([...attribute.value], 'float32');
    }
  return context.fail('it has no numbers; tfjs computes with numbers only');
};

const constantOfShape: TfjsLowering = (context) => {
  const value = context.node.attributes.get('value');
  const fill = value?.kind === 'tensor' ? (numbersOf(value.value)[0] ?? 0) : 0;
  return context.tf.fill([...context.numbers(0)], fill, tfjsType(context.outputType(0)));
};

const identity: TfjsLowering = (context) =>
  prefersChannelsLast(context, [0]) ? { channelsLast: context.channelsLast(0) } : context.input(0);

const NARROW: Partial<Record<ElementType, { readonly size: number; readonly low: number }>> = {
  uint8: { size: 256, low: 0 },
  int8: { size: 256, low: -128 },
  uint16: { size: 65536, low: 0 },
  int16: { size: 65536, low: -32768 },
};

/** Towards zero; integers that do not fit wrap around. */
const cast: TfjsLowering = (context) => {
  const { tf } = context;
  const last = prefersChannelsLast(context, [0]);
  const y = converted(tf, last ? context.channelsLast(0) : context.input(0), context.outputType(0));
  return last ? { channelsLast: y } : y;
};

function converted(tf: TfjsModule, x: TfjsTensor, type: ElementType): TfjsTensor {
  const kind = tfjsType(type);
  if (kind === 'bool')
    return tf.notEqual(tf.cast(x, x.dtype === 'bool' ? 'int32' : x.dtype), tf.scalar(0, x.dtype === 'float32' ? 'float32' : 'int32'));
  const y = x.dtype === kind ? x : tf.cast(x, kind);
  const narrow = NARROW[type];
  if (!narrow || x.dtype === 'bool') return y;
  return tf.add(tf.mod(tf.sub(y, tf.scalar(narrow.low, 'int32')), tf.scalar(narrow.size, 'int32')), tf.scalar(narrow.low, 'int32'));
}

const rangeOf: TfjsLowering = (context) => {
  const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => context.numbers(i)[0]);
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  const values = Array.from({ length: count }, (_, i) => start + i * delta);
  return tensorOf(context.tf, context.outputType(0), values, [count]);
};

export const shapeLowerings: Readonly<Record<string, TfjsLowering>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Shape: shapeOf,
  Size: (context) => ints(context.tf, [elementCount(context.shape(0))], []),
  Expand: expand,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Identity: identity,
  Cast: cast,
  CastLike: cast,
  Range: rangeOf,
};

import type { Dim } from '../graph/dims';
import { floatOf, intOf } from '../graph/graph';
import { Calculator } from './calculator';
import type { CouplingContext, GradientContext, OpRecord, ShapeContext } from './opRecord';
import { unsupported } from './opRecord';
import { NO_TFJS, inputType, normaliseAxis, sameAsInput, tieBroadcast } from './shapeHelpers';
import { normalizationLowerings } from './tfjs/normalization';

const common = { domain: '', opsets: [1, 99], macs: 'none' } as const;

interface Normalised {
  readonly inverse: string;
  /** (x - mean) / sd */
  readonly xhat: string;
}

/** Statistics over `axes`, recomputed from the input. */
function normalise(context: GradientContext, axes: readonly number[]): Normalised {
  const c = new Calculator(context);
  const x = context.input(0);
  const mean = (value: string): string => context.emit('ReduceMean', [value], { axes, keepdims: 1 });
  const centred = c.sub(x, mean(x));
  const inverse = c.call('Reciprocal', c.call('Sqrt', c.add(mean(c.mul(centred, centred)), floatOf(context.node, 'epsilon', 1e-5))));
  return { inverse, xhat: c.mul(centred, inverse) };
}

/** dx = (d - mean(d) - xhat mean(d xhat)) / sd, where d is the gradient of xhat (Ba, Kiros and Hinton 2016). */
function inputGradient(context: GradientContext, d: string, { inverse, xhat }: Normalised, axes: readonly number[]): string {
  const c = new Calculator(context);
  const mean = (value: string): string => context.emit('ReduceMean', [value], { axes, keepdims: 1 });
  return c.mul(inverse, c.sub(c.sub(d, mean(d)), c.mul(xhat, mean(c.mul(d, xhat)))));
}

const axisFrom = (node: Parameters<typeof intOf>[0], rank: number): number => normaliseAxis(intOf(node, 'axis', -1), rank);

function layerShape(context: ShapeContext) {
  const x = context.shape(0);
  const type = inputType(context);
  const axis = x && axisFrom(context.node, x.length);
  const statistics = { type: 'float32' as const, shape: x?.map((d, i): Dim => (i >= (axis ?? 0) ? 1 : d)) };
  return [{ type, shape: x }, statistics, statistics].slice(0, Math.max(1, context.node.outputs.length));
}

const layerNormalization: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'LayerNormalization',
  inputs: [2, 3],
  outputs: [1, 3],
  shape: layerShape,
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const rank = context.shape(g).length;
    const axis = axisFrom(context.node, rank);
    const axes = Array.from({ length: rank - axis }, (_, i) => axis + i);
    const c = new Calculator(context);
    const normalised = normalise(context, axes);
    return [
      context.wants(0) ? inputGradient(context, c.mul(g, context.input(1)), normalised, axes) : undefined,
      context.wants(1) ? context.unbroadcast(c.mul(g, normalised.xhat), 1) : undefined,
      context.wants(2) ? context.unbroadcast(g, 2) : undefined,
    ];
  },
  coupling(context: CouplingContext) {
    const shape = context.inputShape(0);
    const axis = axisFrom(context.node, shape.length);
    shape.forEach((_, i) => {
      if (i >= axis) context.lock(context.in(0, i), 'it normalises over them');
      context.tie(context.in(0, i), context.out(0, i));
    });
    for (const i of [1, 2]) if (context.input(i)) tieBroadcast(context, i, context.outputShape(0));
  },
};

const instanceNormalization: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'InstanceNormalization',
  inputs: [3, 3],
  outputs: [1, 1],
  shape: sameAsInput,
  gradient(context) {
    const g = context.outputGradient(0);
    if (!g) return [];
    const shape = context.shape(g);
    const axes = shape.slice(2).map((_, i) => i + 2);
    const c = new Calculator(context);
    const normalised = normalise(context, axes);
    const scale = context.emit('Reshape', [context.input(1), context.ints(shape.slice(1).map((d, i) => (i === 0 ? d : 1)))]);
    const perChannel = (value: string): string => context.emit('ReduceSum', [value, context.ints([0, ...axes])], { keepdims: 0 });
    return [
      context.wants(0) ? inputGradient(context, c.mul(g, scale), normalised, axes) : undefined,
      context.wants(1) ? perChannel(c.mul(g, normalised.xhat)) : undefined,
      context.wants(2) ? perChannel(g) : undefined,
    ];
  },
  coupling(context) {
    for (const axis of [0, 1]) context.tie(context.in(0, axis), context.out(0, axis));
    for (const i of [1, 2]) context.tie(context.in(i, 0), context.out(0, 1));
  },
};

const groupNormalization: Omit<OpRecord, 'tfjs'> = {
  ...common,
  op: 'GroupNormalization',
  inputs: [3, 3],
  outputs: [1, 1],
  shape: sameAsInput,
  gradient: unsupported('training graphs are of opset 17, which does not have it; export it as Reshape and InstanceNormalization'),
  /** Statistics are of a whole group of channels, so groups stay or go as wholes. */
  coupling(context) {
    const [channels = 1, groups] = [context.inputShape(0)[1], intOf(context.node, 'num_groups', 1)];
    const group = (channel: number): number => Math.floor(channel / (channels / groups));
    context.inputShape(0).forEach((_, axis) => context.tie(context.in(0, axis), context.out(0, axis)));
    context.tieWithin(context.in(0, 1), group);
    for (const i of [1, 2])
      if (context.inputShape(i)[0] === channels) context.tie(context.in(i, 0), context.out(0, 1));
      else context.tie(context.out(0, 1), context.in(i, 0), group);
  },
  rewrite(context) {
    const [kept, channels = 1, groups] = [context.keptIn(0, 1), context.inputShape(0)[1], intOf(context.node, 'num_groups', 1)];
    if (kept) context.setAttribute('num_groups', (kept.length * groups) / channels);
  },
};

const records: readonly Omit<OpRecord, 'tfjs'>[] = [layerNormalization, instanceNormalization, groupNormalization];

export const normalizationRecords: readonly OpRecord[] = records.map((record) => ({
  ...record,
  tfjs: normalizationLowerings[record.op] ?? NO_TFJS,
}));

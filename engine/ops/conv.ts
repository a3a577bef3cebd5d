import { type Dim, type Shape, isKnown } from '../graph/dims';
import { type Node, intOf, intsOf } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import { convGradient } from './convGradient';
import type { CostContext, CouplingContext, OpRecord, ShapeContext } from './opRecord';
import { inputType, resolveWindow, windowAttributes, windowOutput } from './shapeHelpers';
import { convLowering } from './tfjs/convolution';

function kernelOf(node: Node, weight: Shape | undefined): readonly number[] | undefined {
  const stated = intsOf(node, 'kernel_shape');
  const shape = weight?.slice(2);
  return stated ?? (shape?.every(isKnown) ? shape : undefined);
}

function convShape(context: ShapeContext) {
  const [x, w] = [context.shape(0), context.shape(1)];
  const type = inputType(context);
  const kernel = kernelOf(context.node, w);
  if (!x || !w || !kernel) return [{ type }];
  if (x.length !== w.length) context.fail(`input has rank ${x.length} but the weight has rank ${w.length}`);
  const groups = intOf(context.node, 'group', 1);
  const [channels, perGroup] = [x[1], w[1]];
  if (typeof channels === 'number' && typeof perGroup === 'number' && channels !== perGroup * groups)
    context.fail(`input has ${channels} channels but the weight takes ${perGroup} in each of ${groups} groups`);
  const window = resolveWindow(x.slice(2), kernel, windowAttributes(context.node));
  const spatial = kernel.map((_, i) => windowOutput(x[i + 2] as Dim, window, i));
  if (spatial.some((d) => isKnown(d) && d <= 0)) context.fail(`kernel [${kernel.join(', ')}] does not fit input [${x.join(', ')}]`);
  return [{ type, shape: [x[0] as Dim, w[0] as Dim, ...spatial] }];
}

const convMacs = (context: CostContext): number => elementCount(context.outputShape(0)) * elementCount(context.inputShape(1).slice(1));

/**
 * Filters are tied to output channels, kernel slices to input channels. In a grouped convolution every group must keep as many
 * channels as the others; in a depthwise one whole groups go, with their input channel.
 */
function convCoupling(context: CouplingContext): void {
  const groups = intOf(context.node, 'group', 1);
  const [filters = 0, perGroup = 0] = context.inputShape(1);
  context.tie(context.in(0, 0), context.out(0, 0));
  context.tie(context.in(1, 0), context.out(0, 1));
  if (context.input(2)) context.tie(context.in(2, 0), context.out(0, 1));
  if (groups === 1) return context.tie(context.in(0, 1), context.in(1, 1));
  const filtersPerGroup = filters / groups;
  if (perGroup === 1) return context.tie(context.out(0, 1), context.in(0, 1), (filter) => Math.floor(filter / filtersPerGroup));
  context.tie(context.in(0, 1), context.in(1, 1), (channel) => channel % perGroup);
  context.tieWithin(context.out(0, 1), (filter) => filter % filtersPerGroup);
}

export const conv: OpRecord = {
  op: 'Conv',
  domain: '',
  opsets: [1, 99],
  inputs: [2, 3],
  outputs: [1, 1],
  shape: convShape,
  gradient: convGradient,
  macs: convMacs,
  coupling: convCoupling,
  rewrite(context) {
    const kept = context.keptIn(0, 1);
    const perGroup = context.inputShape(1)[1] ?? 1;
    const groups = intOf(context.node, 'group', 1);
    if (kept && groups > 1 && perGroup === 1) context.setAttribute('group', kept.length);
  },
  tfjs: convLowering,
};

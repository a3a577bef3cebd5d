import type { Perturbation, Site, SiteContext } from '../../autodiff/perturbation';
import { elementCount } from '../../graph/tensor';
import { type GradientScale, addNoise, drawMagnitude, followDeviation, normalisedNoise } from './noiseScale';

export interface ClasswiseOptions {
  readonly epsilon: number;
  readonly scale?: GradientScale;
  /** Part of the stored gradient that a batch with samples of the class leaves; 0 replaces it. */
  readonly kept?: number;
  /** What is stored of a gradient: all of it, or its mean over each channel. */
  readonly buffers?: 'full' | 'channel-mean';
}

/**
 * Class-wise ANL, a reconstruction: no source that could be read states the algorithm (papers.md 2.2). One pass; a sample's noise
 * comes from the gradient stored for its class, and afterwards the mean gradient of each class in the batch is stored.
 */
export function classwiseNoise(sites: readonly Site[], options: ClasswiseOptions): Perturbation {
  const { epsilon, scale = 'signed-max', kept = 0, buffers = 'full' } = options;
  return {
    sites,
    needsCleanGradients: false,
    perturb(context) {
      const magnitude = drawMagnitude(context, epsilon, followDeviation(context));
      const stored = context.state('gradients', [context.classes, ...storedShape(context.emitter.shape(context.value), buffers)]);
      const own = context.emitter.emit('Gather', [stored, context.labels], { axis: 0 });
      return addNoise(context, normalisedNoise(context, own, magnitude, scale));
    },
    observe(context, gradient) {
      const summary = buffers === 'full' ? gradient : channelMeans(context, gradient);
      context.setState('gradients', storeByClass(context, summary, kept));
    },
  };
}

/** Bytes of the gradients stored for one site whose value has this shape, [batch, ...]. */
export const storedBytes = (shape: readonly number[], classes: number, buffers: 'full' | 'channel-mean'): number =>
  4 * classes * elementCount(storedShape(shape, buffers));

const storedShape = (shape: readonly number[], buffers: 'full' | 'channel-mean'): number[] =>
  shape.slice(1).map((d, i) => (buffers === 'full' || i === 0 ? d : 1));

function channelMeans({ emitter }: SiteContext, gradient: string): string {
  const axes = emitter
    .shape(gradient)
    .map((_, i) => i)
    .slice(2);
  return axes.length === 0 ? gradient : emitter.emit('ReduceMean', [gradient], { axes, keepdims: 1 });
}

/** New stored gradients [classes, ...]: the batch's class means, mixed with the old ones; classes that are not in the batch keep theirs. */
function storeByClass(context: SiteContext, gradient: string, kept: number): string {
  const { emitter, classes, labels } = context;
  const [batch = 1, ...rest] = emitter.shape(gradient);
  const oneHot = emitter.emit('OneHot', [labels, emitter.ints([classes]), emitter.floats([2], [0, 1])], { axis: 0 });
  const counts = emitter.emit('ReduceSum', [oneHot, emitter.ints([1])], { keepdims: 1 });
  const present = emitter.emit('Clip', [counts, emitter.scalar(0), emitter.scalar(1)]);
  const taken = emitter.emit('Mul', [present, emitter.scalar(1 - kept)]);
  const weights = emitter.emit('Mul', [oneHot, emitter.emit('Div', [taken, emitter.emit('Max', [counts, emitter.scalar(1)])])]);
  const rows = emitter.emit('Reshape', [gradient, emitter.ints([batch, -1])]);
  const stored = emitter.emit('Reshape', [context.stateOf('gradients'), emitter.ints([classes, -1])]);
  const old = emitter.emit('Mul', [stored, emitter.emit('Sub', [emitter.scalar(1), taken])]);
  return emitter.emit('Reshape', [emitter.emit('Add', [old, emitter.emit('MatMul', [weights, rows])]), emitter.ints([classes, ...rest])]);
}

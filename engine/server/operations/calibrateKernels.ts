import type { FormulationTimes, KernelChoice, KernelReport } from '../../contract/kernels';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { intOf } from '../../graph/graph';
import { kernelGranularity } from '../../ops/channelCosts';
import { type ConvShape, type CostEntry, CostTable } from '../../ops/costTable';
import { inferShapes } from '../../ops/inferShapes';
import { resolveWindow, windowAttributes } from '../../ops/shapeHelpers';
import { addKernelCosts, kernelCostsFile } from '../../runtime/onnxruntime/kernelCosts';
import { macsPerSecondOf, measureChannels, measureFormulations } from '../../runtime/onnxruntime/measureKernels';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { processorRuntime } from './runtime';

const STANDARD_BATCH = 16;
/** Channels, filters, size, kernel, stride of common layers of image networks. */
const STANDARD: readonly (readonly [number, number, number, number, number])[] = [
  [3, 16, 32, 3, 1],
  [16, 16, 32, 3, 1],
  [16, 32, 32, 3, 2],
  [32, 32, 16, 3, 1],
  [32, 64, 16, 3, 2],
  [64, 64, 8, 3, 1],
  [64, 64, 32, 3, 1],
  [128, 128, 16, 3, 1],
  [256, 256, 8, 3, 1],
  [512, 512, 4, 3, 1],
  [64, 256, 16, 1, 1],
  [256, 64, 16, 1, 1],
  [64, 128, 16, 1, 2],
];

export interface CalibrateOptions {
  /** A model whose convolutions are measured, with this batch, in place of the standard list. */
  readonly path?: string;
  readonly batch?: number;
}

/** Times the formulations of convolution gradients and the steps of channel counts on the processor, and keeps the result. */
export async function calibrateKernels({ path, batch }: CalibrateOptions, context: OperationContext = {}): Promise<KernelReport> {
  const start = performance.now();
  const runtime = processorRuntime();
  if (!runtime.kernelCosts)
    throw new SurgeryError('runtime-failed', `${runtime.name} has no choice of formulations; calibration needs onnxruntime's C API`);
  const size = batch ?? STANDARD_BATCH;
  const shapes = path === undefined ? standardShapes(size) : convolutionsOf((await loadModel(path)).graph, size);
  const { block } = (await runtime.blockedKernels?.()) ?? { block: 1 };
  const progress = (done: number): void => context.progress?.(done, shapes.length + 1, 'shapes');
  const formulations = await measureFormulations(runtime, block, shapes, { signal: context.signal, progress });
  const channels = await measureChannels(runtime, context);
  progress(shapes.length + 1);
  addKernelCosts(runtime.name, { formulations, channels, macsPerSecond: macsPerSecondOf(channels) });
  return {
    runtime: runtime.name,
    file: kernelCostsFile(),
    seconds: (performance.now() - start) / 1000,
    formulations: formulations.map(describe),
    channels,
    granularity: kernelGranularity(channels),
  };
}

const standardShapes = (batch: number): ConvShape[] =>
  STANDARD.map(([channels, filters, size, kernel, stride]) => ({
    ...{ batch, channels, filters, stride, groups: 1 },
    input: [size, size],
    kernel: [kernel, kernel],
  }));

/** The different convolutions over planes of a network. */
export function convolutionsOf(graph: Graph, batch: number): ConvShape[] {
  const { types } = inferShapes(graph);
  const found = new Map<string, ConvShape>();
  for (const node of graph.nodes) {
    const [x, w] = [types.get(node.inputs[0] ?? '')?.shape, types.get(node.inputs[1] ?? '')?.shape];
    if (node.op !== 'Conv' || x?.length !== 4 || w?.length !== 4) continue;
    const [, channels = 1, ...input] = x.map(Number);
    const [filters = 1, , ...kernel] = w.map(Number);
    if ([channels, ...input].some(Number.isNaN)) continue;
    const { strides } = resolveWindow(input, kernel, windowAttributes(node));
    const shape = { batch, channels, filters, input, kernel, stride: Math.max(...strides), groups: intOf(node, 'group', 1) };
    found.set(JSON.stringify(shape), shape);
  }
  if (found.size === 0) throw new SurgeryError('option-invalid', 'The model has no convolution over planes, so there is nothing to choose');
  return [...found.values()];
}

/** Where the processor's formulations come from. */
export function kernelChoice(): KernelChoice {
  const runtime = processorRuntime();
  if (!runtime.kernelCosts) return 'fixed';
  return runtime.kernelCosts() ? 'measured' : 'built-in';
}

function describe(entry: CostEntry): FormulationTimes {
  const { job, shape, times, usual } = entry;
  const { batch, channels, filters, input, kernel, stride, groups } = shape;
  const grouping = groups === 1 ? '' : `, ${groups} groups`;
  const [fastest] = Object.entries(times).reduce((a, b) => (b[1] < a[1] ? b : a), ['', Infinity]);
  return {
    job: job.replaceAll('-', ' '),
    shape: `batch ${batch}, ${channels} to ${filters} channels, ${input.join('x')}, ${kernel.join('x')}, stride ${stride}${grouping}`,
    times,
    fastest,
    chosen: new CostTable([entry]).fastest(job, shape, Object.keys(times), usual),
    usual,
  };
}

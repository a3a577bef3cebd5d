import { appendBackward } from '../../autodiff/backward';
import { blockedConvOf } from '../../autodiff/blocked/sizes';
import { WEIGHT_GRADIENT_FORMS as BLOCKED_FORMS } from '../../autodiff/blocked/weightGradient';
import type { Graph, Node } from '../../graph/graph';
import { removeUnused } from '../../graph/removeUnused';
import { Random } from '../../graph/random';
import { type Tensor, elementCount, float32 } from '../../graph/tensor';
import type { ChannelCosts } from '../../ops/channelCosts';
import { INPUT_GRADIENT_FORMS, WEIGHT_GRADIENT_FORMS } from '../../ops/convGradient';
import { type ConvShape, type CostEntry, type Job, OnlyFormulation } from '../../ops/costTable';
import { GraphBuilder } from '../../ops/graphBuilder';
import type { Runtime } from '../runtime';

export interface MeasureContext {
  readonly signal?: AbortSignal;
  progress?(done: number, total: number, unit: string): void;
}

/** A formulation is run until it has taken this long, three times at least. */
const ENOUGH_MS = 15;
const LEAST_RUNS = 3;
/** One whose first two runs take this many times the best so far is not run again. */
const HOPELESS = 4;
const PASSES = 4;
const SWEEP = { batch: 8, size: 16, most: 48 };

/** Times every formulation that applies to every shape, with a border of half the kernel. */
export async function measureFormulations(
  runtime: Runtime,
  block: number,
  shapes: readonly ConvShape[],
  context: MeasureContext = {},
): Promise<CostEntry[]> {
  const entries: CostEntry[] = [];
  for (const [i, shape] of shapes.entries()) {
    for (const [job, graphs] of candidatesOf(shape, block)) {
      const times: Record<string, number> = {};
      for (const [name, graph] of graphs)
        times[name] = await timeOf(runtime, graph, Math.min(Infinity, ...Object.values(times)), context.signal);
      entries.push({ job, shape, times });
    }
    context.progress?.(i + 1, shapes.length, 'shapes');
  }
  return entries;
}

/** Jobs with more than one formulation, which is built for each. */
function candidatesOf(shape: ConvShape, block: number): [Job, Map<string, Graph>][] {
  const plain = (job: Job, wrt: string, names: readonly string[]): [Job, Map<string, Graph>] => [
    job,
    new Map(
      [...new Set(names)].flatMap((name) => {
        const graph = plainGradient(shape, wrt, name);
        return graph ? [[name, graph] as const] : [];
      }),
    ),
  ];
  const jobs = [
    plain(
      'weight-gradient',
      'w',
      WEIGHT_GRADIENT_FORMS.map((form) => form.name),
    ),
    plain(
      'input-gradient',
      'x',
      INPUT_GRADIENT_FORMS.map((form) => form.name),
    ),
    ['blocked-weight-gradient', blockedGradients(shape, block)] as [Job, Map<string, Graph>],
  ];
  return jobs.filter(([, graphs]) => graphs.size > 1);
}

function convolution({ batch, channels, filters, input, kernel, stride, groups }: ConvShape, builder: GraphBuilder): Node {
  builder.input('x', [batch, channels, ...input]);
  builder.input('w', [filters, channels / groups, ...kernel]);
  const half = kernel.map((k) => (k - 1) >> 1);
  const attributes = { kernel_shape: kernel, strides: kernel.map(() => stride), pads: [...half, ...half], group: groups };
  builder.emitNamed('Conv', ['x', 'w'], attributes, ['y']);
  return builder.graph.nodes[0] as Node;
}

function plainGradient(shape: ConvShape, wrt: string, name: string): Graph | undefined {
  const costs = new OnlyFormulation(name);
  const builder = new GraphBuilder(`${name} gradient`, 17, costs);
  const node = convolution(shape, builder);
  builder.input('g', builder.shape('y'));
  const gradient = appendBackward(builder, [node], new Map([['y', 'g']]), [wrt]).get(wrt);
  if (!costs.used || gradient === undefined) return undefined;
  builder.output(gradient);
  removeUnused(builder.graph);
  return builder.graph;
}

function blockedGradients(shape: ConvShape, block: number): Map<string, Graph> {
  if (block === 1) return new Map();
  const plain = new GraphBuilder('convolution');
  const node = convolution(shape, plain);
  const dims = ['x', 'w', 'y'].map((name) => plain.shape(name)) as [readonly number[], readonly number[], readonly number[]];
  const sizes = blockedConvOf(node, ...dims, block, shape.channels < block);
  if (!sizes) return new Map();
  return new Map(
    BLOCKED_FORMS.filter((form) => form.applies(sizes)).map((form) => {
      const builder = new GraphBuilder(`${form.name} gradient`);
      builder.input('x', [sizes.batch, sizes.channels, ...sizes.input]);
      builder.input('g', [sizes.batch, sizes.filters, ...sizes.output]);
      builder.output(form.emit(builder, sizes, 'x', 'g'));
      return [form.name, builder.graph];
    }),
  );
}

/** Milliseconds of this process's work: with one thread they are the kernels' own, whatever else the machine does. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = processorTime();
  await run();
  return processorTime() - start;
}

/** The least milliseconds of a few runs on one thread. */
async function timeOf(runtime: Runtime, graph: Graph, best: number, signal?: AbortSignal): Promise<number> {
  const program = await runtime.compile(graph, { threads: 1 });
  try {
    const feeds = randomFeeds(graph);
    const run = (): Promise<number> => timed(() => program.run(feeds, { signal }));
    let least = Math.min(await run(), await run());
    let spent = 0;
    if (least > HOPELESS * best) return least;
    for (let i = 0; i < LEAST_RUNS || spent < ENOUGH_MS; i++) {
      const ms = await run();
      [least, spent] = [Math.min(least, ms), spent + ms];
    }
    return least;
  } finally {
    program.dispose();
  }
}

/** Times two convolutions in a row, as a file has them, by their number of channels; all counts in turns, the least of several passes. */
export async function measureChannels(runtime: Runtime, context: MeasureContext = {}): Promise<ChannelCosts> {
  const counts = Array.from({ length: SWEEP.most - 3 }, (_, i) => i + 4);
  const costs = counts.map((channels) => ({ channels, ms: Infinity }));
  const programs = [];
  try {
    for (const channels of counts) {
      const graph = pairOfConvolutions(channels);
      programs.push({ program: await runtime.compile(graph, { threads: 1 }), feeds: randomFeeds(graph) });
    }
    for (let pass = 0; pass <= PASSES; pass++)
      for (const [i, { program, feeds }] of programs.entries()) {
        for (let run = 0; run < LEAST_RUNS; run++) {
          const ms = await timed(() => program.run(feeds, { signal: context.signal }));
          const cost = costs[i];
          if (pass > 0 && cost) cost.ms = Math.min(cost.ms, ms);
        }
        context.progress?.(pass * counts.length + i, (PASSES + 1) * counts.length, 'channel counts');
      }
    return costs;
  } finally {
    for (const { program } of programs) program.dispose();
  }
}

function pairOfConvolutions(channels: number): Graph {
  const builder = new GraphBuilder(`${channels} channels`);
  let x = builder.input('x', [SWEEP.batch, channels, SWEEP.size, SWEEP.size]);
  for (const name of ['a', 'b']) {
    const weight = builder.initializer(name, randomTensor([channels, channels, 3, 3]));
    x = builder.emit('Relu', [builder.emit('Conv', [x, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })]);
  }
  builder.output(x);
  return builder.graph;
}

function randomTensor(dims: readonly number[]): Tensor {
  const random = new Random(1);
  return float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );
}

const randomFeeds = (graph: Graph): Map<string, Tensor> =>
  new Map(graph.inputs.map(({ name, shape }) => [name, randomTensor(shape as number[])]));

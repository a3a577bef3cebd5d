import { appendBackward } from '../../autodiff/backward';
import { blockedConvOf } from '../../autodiff/blocked/sizes';
import { WEIGHT_GRADIENT_FORMS as BLOCKED_FORMS, weightGradientForm, weightGradientGraph } from '../../autodiff/blocked/weightGradient';
import type { Graph, Node } from '../../graph/graph';
import { removeUnused } from '../../graph/removeUnused';
import { Random } from '../../graph/random';
import { type Tensor, elementCount, float32 } from '../../graph/tensor';
import type { ChannelCosts } from '../../ops/channelCosts';
import { INPUT_GRADIENT_FORMS, WEIGHT_GRADIENT_FORMS } from '../../ops/convGradient';
import { type ConvShape, type CostEntry, CostTable, type Job, OnlyFormulation } from '../../ops/costTable';
import { GraphBuilder } from '../../ops/graphBuilder';
import type { Program, Runtime } from '../runtime';

export interface MeasureContext {
  readonly signal?: AbortSignal;
  progress?(done: number, total: number, unit: string): void;
}

/** A formulation is run until it has taken this long, three times at least. */
const ENOUGH_MS = 6;
const LEAST_RUNS = 3;
/** Multiples of the best time so far at which a formulation is given up: after its first run, which fills memory, and after its second. */
const GIVEN_UP = [8, 2];
/** Turns in which the fastest formulation must hold against the usual one. */
const TURNS = 6;
const PASSES = 3;
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
    for (const { job, graphs, usual } of candidatesOf(shape, block)) {
      const times: Record<string, number> = {};
      for (const [name, graph] of graphs)
        times[name] = await timeOf(runtime, graph, Math.min(Infinity, ...Object.values(times)), context.signal);
      const entry = { job, shape, times, usual };
      const chosen = new CostTable([entry]).fastest(job, shape, [...graphs.keys()], usual);
      if (chosen !== usual) Object.assign(times, await inTurns(runtime, graphs, [usual, chosen], context.signal));
      entries.push(entry);
    }
    context.progress?.(i + 1, shapes.length, 'shapes');
  }
  return entries;
}

/** A job that can be done in several ways: each as a graph, by name. */
interface Candidates {
  readonly job: Job;
  readonly graphs: ReadonlyMap<string, Graph>;
  readonly usual: string;
}

const namesOf = (forms: readonly { readonly name: string }[]): string[] => [...new Set(forms.map((form) => form.name))];

function candidatesOf(shape: ConvShape, block: number): Candidates[] {
  const jobs = [
    plainGradients(shape, 'weight-gradient', 'w', namesOf(WEIGHT_GRADIENT_FORMS)),
    plainGradients(shape, 'input-gradient', 'x', namesOf(INPUT_GRADIENT_FORMS)),
    ...(block > 1 ? blockedGradients(shape, block) : []),
  ];
  return jobs.filter(({ graphs }) => graphs.size > 1);
}

function convolution({ batch, channels, filters, input, kernel, stride, groups }: ConvShape, builder: GraphBuilder): Node {
  builder.input('x', [batch, channels, ...input]);
  builder.input('w', [filters, channels / groups, ...kernel]);
  const half = kernel.map((k) => (k - 1) >> 1);
  const attributes = { kernel_shape: kernel, strides: kernel.map(() => stride), pads: [...half, ...half], group: groups };
  builder.emitNamed('Conv', ['x', 'w'], attributes, ['y']);
  return builder.graph.nodes[0] as Node;
}

function plainGradients(shape: ConvShape, job: Job, wrt: string, names: readonly string[]): Candidates {
  const graphs = new Map<string, Graph>();
  let usual = '';
  for (const name of names) {
    const costs = new OnlyFormulation(name);
    const graph = plainGradient(shape, wrt, costs);
    if (!costs.used) continue;
    graphs.set(name, graph);
    usual = costs.usual;
  }
  return { job, graphs, usual };
}

function plainGradient(shape: ConvShape, wrt: string, costs: CostTable): Graph {
  const builder = new GraphBuilder(`gradient of ${wrt}`, 17, costs);
  const node = convolution(shape, builder);
  builder.input('g', builder.shape('y'));
  builder.output(appendBackward(builder, [node], new Map([['y', 'g']]), [wrt]).get(wrt) ?? '');
  removeUnused(builder.graph);
  return builder.graph;
}

function blockedGradients(shape: ConvShape, block: number): Candidates[] {
  const plain = new GraphBuilder('convolution');
  const node = convolution(shape, plain);
  const dims = ['x', 'w', 'y'].map((name) => plain.shape(name)) as [readonly number[], readonly number[], readonly number[]];
  const sizes = blockedConvOf(node, ...dims, block, shape.channels < block);
  if (!sizes) return [];
  const graphs = new Map(BLOCKED_FORMS.filter((form) => form.applies(sizes)).map((form) => [form.name, weightGradientGraph(form, sizes)]));
  return [{ job: 'blocked-weight-gradient', graphs, usual: weightGradientForm(sizes).name }];
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
    const feeds = noiseFor(graph);
    const run = (): Promise<number> => timed(() => program.run(feeds, { signal }));
    let least = Infinity;
    for (const limit of GIVEN_UP) {
      least = Math.min(least, await run());
      if (least > limit * best) return least;
    }
    let spent = 0;
    for (let i = 0; i < LEAST_RUNS || spent < ENOUGH_MS; i++) {
      const ms = await run();
      [least, spent] = [Math.min(least, ms), spent + ms];
    }
    return least;
  } finally {
    program.dispose();
  }
}

/** The least milliseconds of several formulations that take turns, so that whatever else the machine does meets them alike. */
async function inTurns(
  runtime: Runtime,
  graphs: ReadonlyMap<string, Graph>,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const programs = new Map<string, Program>();
  try {
    for (const [name, graph] of graphs) if (names.includes(name)) programs.set(name, await runtime.compile(graph, { threads: 1 }));
    for (let turn = 0; turn <= TURNS; turn++)
      for (const [name, program] of programs) {
        const ms = await timed(() => program.run(noiseFor(graphs.get(name) as Graph), { signal }));
        if (turn > 0) times[name] = Math.min(times[name] ?? Infinity, ms);
      }
    return times;
  } finally {
    for (const program of programs.values()) program.dispose();
  }
}

/** Times two convolutions in a row, as a file has them, by their number of channels; all counts in turns, the least of several passes. */
export async function measureChannels(runtime: Runtime, { signal }: Pick<MeasureContext, 'signal'> = {}): Promise<ChannelCosts> {
  const counts = Array.from({ length: SWEEP.most - 3 }, (_, i) => i + 4);
  const costs = counts.map((channels) => ({ channels, ms: Infinity }));
  const programs = [];
  try {
    for (const channels of counts) {
      const graph = pairOfConvolutions(channels);
      programs.push({ program: await runtime.compile(graph, { threads: 1 }), feeds: noiseFor(graph) });
    }
    for (let pass = 0; pass <= PASSES; pass++)
      for (const [i, { program, feeds }] of programs.entries())
        for (let run = 0; run < LEAST_RUNS; run++) {
          const ms = await timed(() => program.run(feeds, { signal }));
          const cost = costs[i];
          if (pass > 0 && cost) cost.ms = Math.min(cost.ms, ms);
        }
    return costs;
  } finally {
    for (const { program } of programs) program.dispose();
  }
}

/** Of the fastest count of channels. */
export const macsPerSecondOf = (costs: ChannelCosts): number =>
  Math.max(...costs.map(({ channels, ms }) => (2 * 9 * SWEEP.batch * SWEEP.size ** 2 * channels ** 2) / (ms / 1000)));

function pairOfConvolutions(channels: number): Graph {
  const builder = new GraphBuilder(`${channels} channels`);
  let x = builder.input('x', [SWEEP.batch, channels, SWEEP.size, SWEEP.size]);
  for (const name of ['a', 'b']) {
    const weight = builder.initializer(name, noiseOf([channels, channels, 3, 3]));
    x = builder.emit('Relu', [builder.emit('Conv', [x, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })]);
  }
  builder.output(x);
  return builder.graph;
}

let noise = new Float32Array();

/** Random values, the first of one list for everybody: drawing them anew takes longer than the kernels. */
function noiseOf(dims: readonly number[]): Tensor {
  const count = elementCount(dims);
  if (noise.length < count) {
    const random = new Random(1);
    noise = Float32Array.from({ length: count }, () => random.uniform(-1, 1));
  }
  return float32(dims, noise.subarray(0, count));
}

const noiseFor = (graph: Graph): Map<string, Tensor> => new Map(graph.inputs.map(({ name, shape }) => [name, noiseOf(shape as number[])]));

import { buildTrainingGraph } from '../autodiff/trainingGraph';
import type { Criterion } from '../contract/models';
import { SurgeryError } from '../graph/errors';
import { type Node, consumersOf } from '../graph/graph';
import { Random } from '../graph/random';
import { type Tensor, elementCount } from '../graph/tensor';
import { blockSize, measuredCosts } from '../runtime/layout';
import type { Runtime } from '../runtime/runtime';
import type { Batch } from '../training/evaluate';
import { type ChannelGroup, type PrunableNetwork, findChannelGroups } from './channelGroups';
import { foldOverGates, gatedChannels } from './gateScores';
import { insertGates } from './gates';

export const CRITERIA: readonly Criterion[] = ['gate-taylor', 'l1', 'l2', 'bn-scale', 'fpgm', 'lamp', 'random'];

export interface GroupScores {
  readonly group: string;
  /** By channel; larger is more important. */
  readonly scores: readonly number[];
  /** First-order change of the loss when the channel goes; gate-taylor only. */
  readonly lossChange?: readonly number[];
}

export interface TaylorOptions {
  readonly batch: number;
  readonly batches: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onBatch?(done: number): void;
}

/**
 * Gate Decorator's importance: sum over mini-batches of |dL/dphi * phi|, summed over the layers of a group (papers.md 3.1).
 * Batch norm uses its running statistics.
 */
export async function gateTaylorScores(
  runtime: Runtime,
  network: PrunableNetwork,
  batches: AsyncIterable<Batch>,
  options: TaylorOptions,
): Promise<{ groups: GroupScores[]; loss: number; batches: number }> {
  const gated = insertGates(network, true);
  const names = [...new Set([...gated.gates.values()].flat().map((gate) => gate.name))];
  const kernels = { block: await blockSize(runtime), costs: measuredCosts(runtime) };
  const training = buildTrainingGraph(gated.graph, { batch: options.batch, training: false, parameters: names, ...kernels });
  const program = await runtime.compile(training.graph, { threads: options.threads });
  const phi = new Map(names.map((name) => [name, gated.graph.initializers.get(name) as Tensor]));
  const sums = new Map([...phi].map(([name, { data }]) => [name, newSums(data.length)]));
  let [done, loss] = [0, 0];
  try {
    for await (const { x, y } of batches) {
      const result = await program.run(new Map([...phi, [training.x, x], [training.y, y]]), { signal: options.signal });
      loss += Number(result.get(training.loss)?.data[0]);
      for (const [name, output] of training.gradients) addProducts(sums.get(name), result.get(output), phi.get(name));
      done++;
      options.onBatch?.(done);
      if (done >= options.batches) break;
    }
  } finally {
    program.dispose();
  }
  if (done === 0) throw new SurgeryError('data-malformed', `The data has fewer than ${options.batch} samples, not enough for one batch`);
  const groups = findChannelGroups(gated.graph).groups.map((group): GroupScores => {
    const channels = gatedChannels(group, gated.gates.get(group.id));
    return {
      group: group.id,
      scores: foldOverGates(channels, (gate, i) => sums.get(gate)?.absolute[i] ?? 0),
      lossChange: foldOverGates(channels, (gate, i) => -(sums.get(gate)?.signed[i] ?? 0) / done),
    };
  });
  return { groups, loss: loss / done, batches: done };
}

interface GateSums {
  readonly absolute: Float64Array;
  readonly signed: Float64Array;
}

const newSums = (size: number): GateSums => ({ absolute: new Float64Array(size), signed: new Float64Array(size) });

function addProducts(sums: GateSums | undefined, gradient: Tensor | undefined, phi: Tensor | undefined): void {
  if (!sums || !gradient || !phi) return;
  for (let i = 0; i < sums.signed.length; i++) {
    const product = Number(gradient.data[i]) * Number(phi.data[i]);
    sums.absolute[i] = (sums.absolute[i] as number) + Math.abs(product);
    sums.signed[i] = (sums.signed[i] as number) + product;
  }
}

/** Scores that need no data: weight norms (Li et al. 2017), batch norm scales (Liu et al. 2017), FPGM (He et al. 2019), LAMP (Lee et al. 2021), random. */
export function weightScores(network: PrunableNetwork, criterion: Exclude<Criterion, 'gate-taylor'>, seed = 1): GroupScores[] {
  const random = new Random(seed);
  const consumers = consumersOf(network.graph);
  return network.groups.map((group) => {
    if (criterion === 'random') return { group: group.id, scores: group.channels.map(() => random.uniform()) };
    const layers = group.layers.map((layer) => layerScores(network, group, layer, criterion, consumers));
    return { group: group.id, scores: group.channels.map((_, c) => layers.reduce((sum, scores) => sum + (scores[c] ?? 0), 0)) };
  });
}

type Consumers = ReadonlyMap<string, Node[]>;

function layerScores(
  network: PrunableNetwork,
  group: ChannelGroup,
  layer: string,
  criterion: Exclude<Criterion, 'gate-taylor' | 'random'>,
  consumers: Consumers,
): number[] {
  const node = network.graph.nodes.find((n) => n.name === layer);
  const normalised = consumers.get(node?.outputs[0] ?? '')?.find((n) => n.op === 'BatchNormalization');
  const weight = criterion === 'bn-scale' ? normalised?.inputs[1] : node?.inputs[1];
  const tensor = network.graph.initializers.get(weight ?? '');
  if (!weight || !tensor) return criterion === 'bn-scale' ? layerScores(network, group, layer, 'l1', consumers) : [];
  const filters = group.channels.map((channel) =>
    filterOf(tensor, channel.members.filter((m) => m.value === weight && (criterion !== 'bn-scale' || m.axis === 0)).slice(0, 1)),
  );
  return scoreFilters(filters, criterion);
}

function scoreFilters(filters: readonly Float32Array[], criterion: 'l1' | 'l2' | 'bn-scale' | 'fpgm' | 'lamp'): number[] {
  const norm = (f: Float32Array, p: (v: number) => number): number => f.reduce((sum, v) => sum + p(v), 0);
  switch (criterion) {
    case 'l1':
    case 'bn-scale':
      return filters.map((f) => norm(f, Math.abs));
    case 'l2':
      return filters.map((f) => Math.sqrt(norm(f, (v) => v * v)));
    case 'fpgm':
      return filters.map((f) => filters.reduce((sum, g) => sum + Math.sqrt(f.reduce((d, v, i) => d + (v - (g[i] ?? 0)) ** 2, 0)), 0));
    case 'lamp': {
      const squares = filters.map((f) => norm(f, (v) => v * v));
      return squares.map((s) => s / squares.filter((other) => other >= s).reduce((a, b) => a + b, 0));
    }
  }
}

/** The weights of a channel, as one vector. */
function filterOf(tensor: Tensor, members: readonly { axis: number; positions: readonly number[] }[]): Float32Array {
  const data = tensor.data as Float32Array;
  const parts = members.flatMap(({ axis, positions }) => {
    const inner = elementCount(tensor.dims.slice(axis + 1));
    const size = tensor.dims[axis] ?? 1;
    return Array.from({ length: elementCount(tensor.dims.slice(0, axis)) }, (_, o) =>
      positions.map((p) => data.subarray((o * size + p) * inner, (o * size + p + 1) * inner)),
    ).flat();
  });
  const result = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

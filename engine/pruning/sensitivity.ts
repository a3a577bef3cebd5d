import type { SensitivityPoint } from '../contract/pruning';
import { SurgeryError } from '../graph/errors';
import { type Graph, copyGraph, feedsOf, producersOf } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import type { Program, Runtime } from '../runtime/runtime';
import { type Batch, scoreOutputs } from '../training/evaluate';
import type { ChannelGroup, PrunableNetwork } from './channelGroups';
import { maskNetwork } from './slice';

export interface SensitivityOptions {
  readonly fractions: readonly number[];
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onRun?(done: number, total: number): void;
}

/**
 * Loss and accuracy on one batch when a fraction of one group's channels is masked, the least important first, while all others
 * stay whole. The network is compiled once: the weights that masks change are fed.
 */
export async function sensitivity(
  runtime: Runtime,
  network: PrunableNetwork,
  groups: readonly ChannelGroup[],
  scores: ReadonlyMap<string, readonly number[]>,
  batch: Batch,
  options: SensitivityOptions,
): Promise<{ whole: SensitivityPoint; curves: SensitivityPoint[][] }> {
  const fed = weightsOf(network, groups);
  const program = await runtime.compile(withFedWeights(network.graph, fed), { threads: options.threads });
  const total = 1 + groups.length * options.fractions.length;
  let done = 0;
  const measure = async (graph: Graph, fraction: number): Promise<SensitivityPoint> => {
    const point = await runMasked(program, graph, fed, batch, options.signal);
    done++;
    options.onRun?.(done, total);
    return { fraction, ...point };
  };
  try {
    const whole = await measure(network.graph, 0);
    const curves: SensitivityPoint[][] = [];
    for (const group of groups) {
      const order = leastFirst(scores.get(group.id) ?? []);
      const curve: SensitivityPoint[] = [];
      for (const fraction of options.fractions) {
        const cut = Math.min(order.length - 1, Math.round(fraction * order.length));
        const keep = order.slice(cut).sort((a, b) => a - b);
        curve.push(await measure(maskNetwork(network, new Map([[group.id, keep]])), cut / order.length));
      }
      curves.push(curve);
    }
    return { whole, curves };
  } finally {
    program.dispose();
  }
}

const leastFirst = (scores: readonly number[]): number[] =>
  scores.map((_, c) => c).sort((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0) || a - b);

const weightsOf = ({ graph }: PrunableNetwork, groups: readonly ChannelGroup[]): string[] => [
  ...new Set(groups.flatMap((g) => (g.channels[0]?.members ?? []).map((m) => m.value)).filter((v) => graph.initializers.has(v))),
];

function withFedWeights(graph: Graph, names: readonly string[]): Graph {
  const result = copyGraph(graph);
  for (const name of names) {
    const { type, dims } = graph.initializers.get(name) as Tensor;
    result.initializers.delete(name);
    result.inputs = result.inputs.filter((input) => input.name !== name);
    result.inputs.push({ name, type, shape: dims });
  }
  return result;
}

async function runMasked(
  program: Program,
  graph: Graph,
  fed: readonly string[],
  { x, y }: Batch,
  signal?: AbortSignal,
): Promise<{ loss: number; accuracy: number }> {
  const input = feedsOf(graph)[0]?.name ?? '';
  const output = graph.outputs[0]?.name ?? '';
  const feeds = new Map<string, Tensor>([[input, x], ...fed.map((name) => [name, graph.initializers.get(name) as Tensor] as const)]);
  const result = (await program.run(feeds, { signal })).get(output);
  if (!result) throw new SurgeryError('graph-invalid', `The network has no output ${output}`);
  const { loss, correct, count } = scoreOutputs(result, y, producersOf(graph).get(output)?.op === 'Softmax');
  return { loss: loss / count, accuracy: correct / count };
}

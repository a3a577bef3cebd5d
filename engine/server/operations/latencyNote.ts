import type { Measured } from '../../contract/models';
import { type Graph, intOf } from '../../graph/graph';
import { elementCount } from '../../graph/tensor';

/** Channels that the runtime's convolutions work on at a time (AVX-512 and its blocked layout). */
const BLOCK = 16;
/** Latency that lags behind the MACs by less is said to have followed. */
const TOLERANCE = 0.1;

/** One sentence that says why latency did not follow the MACs, from what can be counted; undefined when it did. */
export function latencyNote(before: Measured, after: Measured, graphs: readonly [Graph, Graph]): string | undefined {
  const [latency, macs] = [after.latencyMs / before.latencyMs, after.macs / before.macs];
  if (!(latency > macs + TOLERANCE)) return undefined;
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  const activations = (after.activationBytes ?? 0) / (before.activationBytes ?? 1);
  const blocked = blockedWork(graphs[1]) / blockedWork(graphs[0]);
  const reasons = [
    activations > macs + TOLERANCE
      ? `activations, which memory-bound layers (normalisation, addition, pooling) follow, are at ${percent(activations)}`
      : '',
    blocked > macs + TOLERANCE / 2
      ? `convolutions run in blocks of ${BLOCK} channels, so these channel counts cost as much as ${percent(blocked)} (--round-to auto wastes less)`
      : '',
    `each of the ${graphs[1].nodes.length} operators costs a fixed time at a batch of one`,
  ].filter(Boolean);
  return `Latency is at ${percent(latency)} where the MACs are at ${percent(macs)}: ${reasons.join('; ')}.`;
}

/** Multiplications of the convolutions' weights if channels came in whole blocks, relative to nothing. */
function blockedWork(graph: Graph): number {
  const up = (channels: number): number => Math.ceil(channels / BLOCK) * BLOCK;
  return graph.nodes.reduce((sum, node) => {
    const dims = node.op === 'Conv' ? graph.initializers.get(node.inputs[1] ?? '')?.dims : undefined;
    if (!dims) return sum;
    const [filters = 1, channels = 1] = dims;
    const inner = intOf(node, 'group', 1) > 1 || channels < 4 ? channels : up(channels);
    return sum + up(filters) * inner * elementCount(dims.slice(2));
  }, 0);
}

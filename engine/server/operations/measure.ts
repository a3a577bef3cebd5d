import type { Measured } from '../../contract/models';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import type { Graph } from '../../graph/graph';
import { findChannelGroups } from '../../pruning/channelGroups';
import { randomInputs } from '../../pruning/maskedDifference';
import { SelectionCost } from '../../pruning/selectionCost';
import type { Program } from '../../runtime/runtime';
import { evaluate } from '../../training/evaluate';
import { type DataFlags, openData, testBatches } from './data';
import type { OperationContext } from './operation';
import { latencyNote } from './latencyNote';
import { runtime } from './runtime';

const WARM_UP = 5;
const RUNS = 60;

/** Size, cost, latency of one sample and (with data) accuracy of several networks; latencies are taken in turns, so that all see the same machine. */
export async function measureNetworks(
  graphs: readonly Graph[],
  options: Partial<DataFlags> & { threads?: number },
  context: OperationContext = {},
): Promise<Measured[]> {
  const latencies = await measureLatencies(graphs, options.threads);
  const results: Measured[] = [];
  for (const [i, graph] of graphs.entries()) {
    const accuracy = options.data ? await accuracyOf(graph, { ...options, data: options.data }, context) : undefined;
    const cost = new SelectionCost(findChannelGroups(graph));
    const { parameters, macs, activationBytes } = cost.of();
    const latency = latencies[i] ?? { median: NaN, spread: NaN };
    const bytes = encodeOnnx(graph).byteLength;
    results.push({
      parameters,
      macs,
      activationBytes,
      peakActivationBytes: cost.peakActivationBytes(),
      bytes,
      latencyMs: latency.median,
      latencySpreadMs: latency.spread,
      ...(accuracy === undefined ? {} : { accuracy }),
    });
  }
  return results;
}

/** A network before and after surgery, with a note on latency when it did not follow. */
export async function measureChange(
  before: Graph,
  after: Graph,
  options: Partial<DataFlags> & { threads?: number },
  context: OperationContext = {},
): Promise<{ before: Measured; after: Measured }> {
  const [first, second] = (await measureNetworks([before, after], options, context)) as [Measured, Measured];
  const note = latencyNote(first, second, [before, after]);
  const realised = reductionRealised(first, second);
  return {
    before: first,
    after: {
      ...second,
      ...(realised === undefined ? {} : { reductionRealised: realised }),
      ...(note === undefined ? {} : { latencyNote: note }),
    },
  };
}

/** Least reduction in MACs that a fraction of it says something about. */
const LEAST_REDUCTION = 0.01;

/** Fraction of the reduction in MACs that became time; undefined where there was next to none. */
export function reductionRealised(before: Measured, after: Measured): number | undefined {
  const saved = 1 - after.macs / before.macs;
  return saved < LEAST_REDUCTION ? undefined : (1 - after.latencyMs / before.latencyMs) / saved;
}

async function accuracyOf(graph: Graph, options: DataFlags & { threads?: number }, context: OperationContext): Promise<number> {
  const data = await openData(options);
  const { count, batches } = testBatches(data, options, 250);
  const result = await evaluate(runtime(), graph, batches, {
    threads: options.threads,
    signal: context.signal,
    onBatch: (done) => context.progress?.(done, count, 'samples', 'Evaluating'),
  });
  return result.accuracy;
}

/** Median milliseconds of one sample, and the distance from the 10th to the 90th percentile. */
export async function measureLatencies(graphs: readonly Graph[], threads?: number): Promise<{ median: number; spread: number }[]> {
  const programs: Program[] = [];
  try {
    for (const graph of graphs) programs.push(await runtime().compile(graph, { threads }));
    const feeds = graphs.map((graph) => randomInputs(graph, 7, 1));
    const times = graphs.map(() => [] as number[]);
    for (let run = 0; run < WARM_UP + RUNS; run++)
      for (const [i, program] of programs.entries()) {
        const start = performance.now();
        await program.run(feeds[i] ?? new Map());
        if (run >= WARM_UP) times[i]?.push(performance.now() - start);
      }
    return times.map((list) => {
      list.sort((a, b) => a - b);
      const at = (q: number): number => list[Math.floor(q * (list.length - 1))] ?? NaN;
      return { median: at(0.5), spread: at(0.9) - at(0.1) };
    });
  } finally {
    for (const program of programs) program.dispose();
  }
}

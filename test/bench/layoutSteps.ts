/**
 * Processor time of one thread for ResNet-20 steps in both layouts, in turns: plain, with gates, as in a Tick (convolutions frozen), with
 * noise, and with fewer channels. `npx tsx test/bench/layoutSteps.ts [plain,gated,tick,gaussian,canl,anl,11-23-45,16-24-48]`. It reports;
 * it asserts nothing.
 */
import { formatTable } from '../../engine/cli/table';
import type { NoiseMethod } from '../../engine/contract/noise';
import type { Graph } from '../../engine/graph/graph';
import { findChannelGroups } from '../../engine/pruning/channelGroups';
import { insertGates } from '../../engine/pruning/gates';
import { SelectionCost } from '../../engine/pruning/selectionCost';
import { sliceNetwork } from '../../engine/pruning/slice';
import { createPerturbation } from '../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer, type TrainerOptions } from '../../engine/training/trainer';
import { batchOf, networkOf, parseCase } from './benchCase';

const [BATCH, ROUNDS] = [64, 5];
const network = networkOf(parseCase(`resnet20:${BATCH}:32`));
const prunable = findChannelGroups(network);
const gated = insertGates(prunable);

interface Step {
  readonly graph: Graph;
  readonly options?: Partial<TrainerOptions>;
  /** Of the whole network's multiply-accumulates. */
  readonly macs?: number;
}

/** The network with the first channels of every stage. */
function narrowed(widths: readonly number[]): Step {
  const cost = new SelectionCost(prunable);
  const kept = new Map(
    prunable.groups.map(({ id, channels }) => {
      const width = widths[Math.log2(channels.length / 16)] ?? channels.length;
      return [id, Array.from({ length: width }, (_, i) => i)];
    }),
  );
  return { graph: sliceNetwork(prunable, kept), macs: cost.of(kept).macs / cost.of().macs };
}

function stepOf(name: string): Step {
  if (name === 'plain') return { graph: network };
  if (name === 'gated') return { graph: gated.graph };
  if (name === 'tick') {
    const gates = [...new Set([...gated.gates.values()].flat().map((gate) => gate.name))];
    return { graph: gated.graph, options: { parameters: [...gates, 'fc.weight', 'fc.bias'] } };
  }
  if (name.includes('-')) return narrowed(name.split('-').map(Number));
  const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [-3], highest: [3] });
  return { graph: network, options: { perturbation: createPerturbation(network, { method: name as NoiseMethod }, pixels) } };
}

async function main(): Promise<void> {
  const runtime = openRuntime();
  const { x, y } = batchOf(BATCH, [3, 32, 32]);
  const names = process.argv[2]?.split(',') ?? ['plain', 'gated', 'tick', 'gaussian', 'canl', 'anl', '11-23-45', '16-24-48'];
  const entries = [];
  for (const name of names)
    for (const layout of ['blocked', 'portable'] as const) {
      const { graph, options, macs = 1 } = stepOf(name);
      const optimiser = { kind: 'sgd', momentum: 0.9 } as const;
      const trainer = await Trainer.create(runtime, graph, { batch: BATCH, optimiser, threads: 1, layout, ...options });
      entries.push({ name, layout, macs, trainer, times: [] as number[] });
    }
  for (let round = 0; round <= ROUNDS; round++)
    for (const { trainer, times } of entries) {
      const before = process.cpuUsage();
      await trainer.step(x, y, 1e-3);
      const { user, system } = process.cpuUsage(before);
      if (round > 0) times.push((user + system) / 1000);
    }
  const rows = entries.map(({ name, layout, macs, times }) => [name, layout, macs.toFixed(2), Math.min(...times).toFixed(0)]);
  console.log(formatTable(['step', 'layout', 'MACs', 'least ms'], rows));
  for (const { trainer } of entries) trainer.dispose();
}

void main();

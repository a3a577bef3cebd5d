/**
 * Prunes every real model that is found at 30 % and 60 % of its MACs and compares with the masked network; says why when it cannot.
 * npx tsx test/bench/pruneModels.ts FOLDER
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { findChannelGroups } from '../../engine/pruning/channelGroups';
import { weightScores } from '../../engine/pruning/importance';
import { maskedDifference } from '../../engine/pruning/maskedDifference';
import { selectToBudget } from '../../engine/pruning/ranking';
import { SelectionCost } from '../../engine/pruning/selectionCost';
import { sliceNetwork } from '../../engine/pruning/slice';
import { loadModel } from '../../engine/server/operations/loadModel';
import { runtime } from '../../engine/server/operations/runtime';

async function pruneOne(file: string): Promise<void> {
  const { graph } = await loadModel(file);
  const start = performance.now();
  const network = findChannelGroups(graph);
  const spent = performance.now() - start;
  const cost = new SelectionCost(network);
  const channels = network.groups.reduce((n, g) => n + g.channels.length, 0);
  console.log(
    `  ${network.groups.length} groups, ${channels} channels, ${network.locked.length} layers locked, found in ${spent.toFixed(0)} ms`,
  );
  for (const { layer, reason } of network.locked) console.log(`    locked ${layer}: ${reason}`);
  if (network.groups.length === 0) return;
  const scores = weightScores(network, 'l1');
  for (const flops of [0.6, 0.3]) {
    try {
      const selection = selectToBudget(network, scores, { flops }, cost);
      const pruned = sliceNetwork(network, selection);
      const difference = await maskedDifference(runtime(), network, pruned, selection);
      const kept = (100 * cost.of(selection).macs) / cost.of().macs;
      console.log(`  ${kept.toFixed(1)} % of the MACs, differs from masked by ${difference.toExponential(1)}`);
    } catch (error) {
      console.log(`  at ${100 * flops} %: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

async function main(): Promise<void> {
  const folder = process.argv[2] ?? '.';
  const isModel = (name: string): boolean => /\.(onnx|h5)$/.test(name) || path.basename(name) === 'model.json';
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(isModel).sort()) {
    console.log(name);
    await pruneOne(path.join(folder, name)).catch((error: unknown) =>
      console.log(`  ${error instanceof Error ? error.message : String(error)}`),
    );
  }
}

void main();

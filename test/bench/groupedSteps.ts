/**
 * Processor time of one thread for training steps of two residual blocks with grouped 3x3 convolutions, batch 8, in both layouts, in turns.
 * `npx tsx test/bench/groupedSteps.ts [channels:groups:size ...]`. It reports; it asserts nothing.
 */
import { formatTable } from '../../engine/cli/table';
import type { Graph } from '../../engine/graph/graph';
import { Random } from '../../engine/graph/random';
import { elementCount, float32 } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { batchOf } from './benchCase';

const [BATCH, ROUNDS] = [8, 6];
const CASES = ['128:32:28', '128:16:28', '128:8:28', '256:64:14', '48:3:28', '240:3:28', '64:32:28'];

function groupedNetwork(channels: number, groups: number, size: number): Graph {
  const builder = new GraphBuilder('grouped');
  const random = new Random(1);
  const normed = (x: string, name: string, kernel: number, group: number): string => {
    const dims = [channels, Number(builder.typeOf(x).shape?.[1]) / group, kernel, kernel];
    const deviation = 1 / Math.sqrt(elementCount(dims.slice(1)));
    const data = Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, deviation));
    const pads = Array<number>(4).fill((kernel - 1) / 2);
    const y = builder.emit('Conv', [x, builder.initializer(`${name}.w`, float32(dims, data))], { pads, group });
    const vector = (kind: string, value: number): string =>
      builder.initializer(`${name}.${kind}`, float32([channels], new Float32Array(channels).fill(value)));
    return builder.emit('BatchNormalization', [y, vector('scale', 1), vector('bias', 0), vector('mean', 0), vector('variance', 1)]);
  };
  const relu = (x: string): string => builder.emit('Relu', [x]);
  let x = relu(normed(builder.input('x', ['N', 3, size, size]), 'stem', 3, 1));
  for (const name of ['a', 'b']) {
    const inner = relu(normed(x, `${name}.grouped`, 3, groups));
    x = relu(builder.emit('Add', [x, normed(inner, `${name}.pointwise`, 1, 1)]));
  }
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [x])], { axis: 1 });
  const head = float32(
    [channels, 10],
    Float32Array.from({ length: channels * 10 }, () => random.normal(0, 0.1)),
  );
  builder.output(builder.emit('Gemm', [flat, builder.initializer('head', head)]), 'logits');
  return builder.graph;
}

async function main(): Promise<void> {
  const runtime = openRuntime();
  const names = process.argv.slice(2);
  const rows: string[][] = [];
  for (const name of names.length > 0 ? names : CASES) {
    const [channels = 1, groups = 1, size = 1] = name.split(':').map(Number);
    const { x, y } = batchOf(BATCH, [3, size, size]);
    const entries = [];
    for (const layout of ['blocked', 'portable'] as const) {
      const options = { batch: BATCH, optimiser: { kind: 'sgd' }, threads: 1, layout } as const;
      entries.push({ trainer: await Trainer.create(runtime, groupedNetwork(channels, groups, size), options), least: Infinity });
    }
    for (let round = 0; round <= ROUNDS; round++)
      for (const entry of entries) {
        const start = process.cpuUsage();
        await entry.trainer.step(x, y, 1e-4);
        const { user, system } = process.cpuUsage(start);
        if (round > 0) entry.least = Math.min(entry.least, (user + system) / 1000);
      }
    rows.push([name, ...entries.map(({ least }) => least.toFixed(1))]);
    entries.forEach(({ trainer }) => trainer.dispose());
  }
  console.log(formatTable(['channels:groups:size', 'blocked, ms', 'portable, ms'], rows));
}

void main();

/** Times training steps of several model files in turns, on random input, in processor time of one thread: npx tsx test/bench/stepTimes.ts A.onnx B.onnx [--batch 16] [--rounds 8] */
import { parseArgs } from 'node:util';
import { openModel } from '../../engine/formats/openModel';
import { type Graph, feedsOf } from '../../engine/graph/graph';
import { Random } from '../../engine/graph/random';
import { elementCount, float32, int64 } from '../../engine/graph/tensor';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { batch: { type: 'string', default: '16' }, rounds: { type: 'string', default: '8' } },
});
const batch = Number(values.batch);

function batchFor(graph: Graph) {
  const random = new Random(1);
  const dims = [batch, ...(feedsOf(graph)[0]?.shape ?? []).slice(1).map(Number)];
  return {
    x: float32(
      dims,
      Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
    ),
    y: int64([batch], new Array<number>(batch).fill(0)),
  };
}

async function main(): Promise<void> {
  const runtime = openRuntime();
  const entries = [];
  for (const file of positionals) {
    const { graph } = await openModel(file);
    const trainer = await Trainer.create(runtime, graph, { batch, optimiser: { kind: 'adam' }, threads: 1 });
    entries.push({ file, trainer, ...batchFor(graph), times: [] as number[] });
  }
  // The first two steps fill memory for the weights and their next values.
  for (let round = -2; round < Number(values.rounds); round++)
    for (const { trainer, x, y, times } of entries) {
      const start = process.cpuUsage();
      await trainer.step(x, y, 1e-4);
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) times.push((user + system) / 1000);
    }
  for (const { file, trainer, times } of entries) {
    times.sort((a, b) => a - b);
    const median = times[times.length >> 1] ?? NaN;
    console.log(`${file}: median ${median.toFixed(1)} ms, ${times.map((t) => t.toFixed(0)).join(' ')}`);
    trainer.dispose();
  }
}

void main();

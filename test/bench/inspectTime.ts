/** Time to inspect a file of 512 MiB: npx tsx test/bench/inspectTime.ts. It reports; it asserts nothing. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeOnnx } from '../../engine/formats/onnx/writeOnnx';
import { float32 } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import { inspectModel } from '../../engine/server/operations/inspect';

const [WIDTH, LAYERS, RUNS] = [4096, 8, 5];

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-inspect-'));
  try {
    const file = path.join(folder, 'large.onnx');
    const builder = new GraphBuilder('large');
    let x = builder.input('x', ['N', WIDTH]);
    for (let i = 0; i < LAYERS; i++)
      x = builder.emit('Relu', [builder.emit('MatMul', [x, builder.initializer(`w${i}`, float32([WIDTH, WIDTH]))])]);
    builder.output(x, 'y');
    await writeOnnx(builder.graph, file);
    for (let run = 0; run < RUNS; run++) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      const { totals } = await inspectModel(file);
      const { user, system } = process.cpuUsage(before);
      const spent = ((user + system) / 1000).toFixed(0);
      console.log(
        `${(statSync(file).size / 2 ** 20).toFixed(0)} MiB, ${totals.parameters} parameters: ${(performance.now() - start).toFixed(0)} ms, ${spent} ms of processor time`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();

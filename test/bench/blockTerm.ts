/**
 * Fits a layer of a model in block-term form beside HOOI in NumPy, and compares the written operators with a reconstruction in PyTorch:
 * `npx tsx test/bench/blockTerm.ts MODEL LAYER --input-modes 257,1 --output-modes 128,1 --rank 8 --blocks 1`. A model written
 * as 57600x1024 stands for a random matrix of this size with a falling spectrum.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isolateLayer } from '../../engine/decomposition/calibrate';
import { fitLayer, padMatrix, replaceByBlocks, shapeFor } from '../../engine/decomposition/decompose';
import { foldMatrix } from '../../engine/decomposition/fold';
import { replaceableLayer, weightMatrix } from '../../engine/decomposition/replaceable';
import { writeNpz } from '../../engine/formats/npy/npz';
import { writeOnnx } from '../../engine/formats/onnx/writeOnnx';
import { openModel } from '../../engine/formats/openModel';
import type { Graph } from '../../engine/graph/graph';
import { Random } from '../../engine/graph/random';
import { elementCount, float32 } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    'input-modes': { type: 'string', default: '8,20,20,18' },
    'output-modes': { type: 'string', default: '16,4,4,4' },
    rank: { type: 'string', default: '4' },
    blocks: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    python: { type: 'string', default: 'python3' },
  },
});
const list = (text: string): number[] => text.split(',').map(Number);
const random = new Random(1);
const normals = (...dims: number[]) =>
  float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );

/** A dense layer whose weight is a sum of 32 outer products of falling size, and noise. */
function syntheticLayer(inputs: number, outputs: number): Graph {
  const weight = float32([inputs, outputs]);
  for (let rank = 0; rank < 32; rank++) {
    const [left, right] = [normals(inputs), normals(outputs)];
    for (let i = 0; i < inputs; i++)
      for (let j = 0; j < outputs; j++) weight.data[i * outputs + j]! += ((left.data[i] ?? 0) * (right.data[j] ?? 0)) / (rank + 1);
  }
  const builder = new GraphBuilder('layer');
  builder.output(
    builder.emitNamed('MatMul', [builder.input('x', ['N', inputs]), builder.initializer('w', weight)], {}, ['y'], { name: 'layer' }),
  );
  return builder.graph;
}

async function main(): Promise<void> {
  const [model = '', name = 'layer'] = positionals;
  const size = /^(\d+)x(\d+)$/.exec(model);
  const graph = size ? syntheticLayer(Number(size[1]), Number(size[2])) : (await openModel(model)).graph;
  const runtime = openRuntime();
  const layer = replaceableLayer(graph, name);
  if (layer.kind !== 'dense') throw new Error('Dense layers only: the reconstruction in PyTorch multiplies by the whole matrix');
  const shape = shapeFor(layer, {
    inputModes: list(values['input-modes']),
    outputModes: list(values['output-modes']),
    ranks: list(values.rank),
    blocks: Number(values.blocks),
  });
  const start = process.cpuUsage();
  const fit = await fitLayer(runtime, graph, layer, shape, { threads: Number(values.threads) });
  const { user, system } = process.cpuUsage(start);
  const isolated = isolateLayer(graph, layer, [layer.inputs]);
  const folder = mkdtempSync(path.join(tmpdir(), 'block-term-'));
  try {
    const written = path.join(folder, 'layer.onnx');
    await writeOnnx(replaceByBlocks(isolated, replaceableLayer(isolated, layer.name), shape, fit.blocks, 8), written);
    const { graph: replaced } = await openModel(written);
    const x = normals(8, layer.inputs);
    const program = await runtime.compile(replaced);
    const y = (await program.run(new Map([['x', x]]))).get('y');
    program.dispose();
    const folded = foldMatrix(padMatrix(weightMatrix(graph, layer), layer, shape), shape.inputModes, shape.outputModes);
    const dims = shape.inputModes.map((m, k) => m * (shape.outputModes[k] ?? 1));
    const bias = layer.node.op === 'Gemm' ? graph.initializers.get(layer.node.inputs[2] ?? '') : undefined;
    const arrays = new Map([['folded', float32(dims, folded)], ['x', x], ['y', y ?? x], ['bias', bias ?? float32([layer.outputs])]]); // prettier-ignore
    for (const [key, tensor] of replaced.initializers) {
      const part = /\.(core|factor\d+)$/.exec(key)?.[1];
      if (part) arrays.set(part, tensor);
    }
    const file = path.join(folder, 'layer.npz');
    writeNpz(file, arrays);
    console.log(`scalpel: relative error ${fit.error.toFixed(6)}, ${((user + system) / 1e6).toFixed(1)} s of processor time`);
    const ranks = shape.ranks.join();
    const run = spawnSync(values.python, [path.join(__dirname, 'hooi.py'), file, ranks, String(shape.blocks), shape.inputModes.join()]);
    console.log(run.stdout.toString() || run.stderr.toString());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

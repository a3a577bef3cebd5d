import { type TrainingGraph, buildTrainingGraph } from '../../autodiff/trainingGraph';
import { type Graph, feedsOf } from '../../graph/graph';
import { Random } from '../../graph/random';
import { type Tensor, elementCount, float32, int64 } from '../../graph/tensor';
import { GraphBuilder } from '../../ops/graphBuilder';
import { NCHWC } from '../../ops/nchwc';
import type { BlockedKernels, Runtime } from '../runtime';

/** Blocks that onnxruntime's kernels are known to use: 8 with AVX2, 16 with AVX-512. */
const KNOWN = [8, 16];
/** Largest difference of any gradient, relative to the largest of its parameter; rounding stays a thousand times below. */
const TOLERANCE = 1e-2;

/**
 * Finds out how many channels onnxruntime's internal blocked kernels put side by side on this processor, and checks a training step of a
 * small network with them against the plain layout. Their domain promises no stability, so that nothing else is relied on.
 */
export async function findBlockedKernels(runtime: Runtime): Promise<BlockedKernels> {
  try {
    const block = await probeBlock(runtime);
    if (!KNOWN.includes(block)) return { block: 1, reason: `onnxruntime has no blocked kernels for this processor (block ${block})` };
    const difference = await selfTest(runtime, block);
    if (difference <= TOLERANCE) return { block };
    return { block: 1, reason: `the self-test of onnxruntime's blocked kernels is off by ${difference.toExponential(1)}` };
  } catch (error) {
    return { block: 1, reason: `onnxruntime's blocked kernels do not run: ${(error as Error).message}` };
  }
}

/** Where ReorderInput puts the first element of the second channel. */
async function probeBlock(runtime: Runtime): Promise<number> {
  const builder = new GraphBuilder('block probe');
  const x = builder.input('x', [1, 32, 1, 2]);
  builder.output(builder.emit('ReorderInput', [x], {}, { domain: NCHWC }), 'y');
  const program = await runtime.compile(builder.graph);
  try {
    const values = Float32Array.from({ length: 64 }, (_, i) => i);
    const y = (await program.run(new Map([['x', float32([1, 32, 1, 2], values)]]))).get('y');
    return (y?.data as Float32Array).indexOf(1);
  } finally {
    program.dispose();
  }
}

async function selfTest(runtime: Runtime, block: number): Promise<number> {
  const network = testNetwork();
  const plain = await gradientsOf(runtime, network, 1);
  const blocked = await gradientsOf(runtime, network, block);
  return Math.max(...[...plain].map(([name, data]) => relativeDifference(data, blocked.get(name))));
}

/** A residual block with a strided shortcut after a stem, on images of 8 x 8: every kind of convolution that the layout has. */
function testNetwork(): Graph {
  const builder = new GraphBuilder('self-test');
  const random = new Random(2);
  const channelsOf = (x: string): number => Number(builder.typeOf(x).shape?.[1]);
  const conv = (x: string, name: string, filters: number, kernel: number, stride: number, group = 1): string => {
    const dims = [filters, channelsOf(x) / group, kernel, kernel];
    const data = Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, 1 / Math.sqrt(elementCount(dims.slice(1)))));
    const pads = Array<number>(4).fill((kernel - 1) / 2);
    const y = builder.emit('Conv', [x, builder.initializer(`${name}.w`, float32(dims, data))], { pads, strides: [stride, stride], group });
    const vector = (kind: string, value: number): string =>
      builder.initializer(`${name}.${kind}`, float32([filters], new Float32Array(filters).fill(value)));
    return builder.emit('BatchNormalization', [y, vector('scale', 1), vector('bias', 0.1), vector('mean', 0), vector('variance', 1)]);
  };
  const relu = (x: string): string => builder.emit('Relu', [x]);
  const pooled = builder.emit('MaxPool', [relu(conv(builder.input('x', ['N', 3, 16, 16]), 'stem', 16, 3, 1))], {
    kernel_shape: [2, 2],
    strides: [2, 2],
  });
  const main = conv(relu(conv(relu(conv(pooled, 'a', 20, 3, 2)), 'b', 20, 3, 1, 20)), 'c', 32, 3, 1);
  const joined = relu(builder.emit('Add', [main, conv(pooled, 'd', 32, 1, 2)]));
  const last = relu(conv(joined, 'e', 32, 3, 1, 8));
  builder.output(builder.emit('Flatten', [builder.emit('GlobalAveragePool', [last])], { axis: 1 }), 'logits');
  return builder.graph;
}

async function gradientsOf(runtime: Runtime, network: Graph, block: number): Promise<Map<string, Float32Array>> {
  const training = buildTrainingGraph(network, { batch: 4, training: true, block });
  const program = await runtime.compile(training.graph);
  try {
    const results = await program.run(selfTestFeeds(network, training));
    return new Map(
      [...training.gradients].map(([name, output]) => {
        const tensor = results.get(output) as Tensor;
        return [name, (training.encodings.get(name)?.decode(tensor) ?? tensor).data as Float32Array];
      }),
    );
  } finally {
    program.dispose();
  }
}

function selfTestFeeds(network: Graph, { graph, encodings, x, y }: TrainingGraph): Map<string, Tensor> {
  const random = new Random(1);
  const feeds = new Map<string, Tensor>();
  for (const { name, shape = [] } of feedsOf(graph)) {
    const initial = network.initializers.get(name);
    const dims = shape as number[];
    if (name === y) feeds.set(name, int64(dims, [0, 5, 10, 15]));
    else if (name === x)
      feeds.set(
        name,
        float32(
          dims,
          Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
        ),
      );
    else if (initial) feeds.set(name, encodings.get(name)?.encode(initial) ?? initial);
  }
  return feeds;
}

function relativeDifference(a: Float32Array, b: Float32Array | undefined): number {
  if (b?.length !== a.length) return Infinity;
  const largest = a.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
  const difference = a.reduce((m, v, i) => Math.max(m, Math.abs(v - (b[i] as number))), 0);
  return Number.isNaN(difference) ? Infinity : difference / largest;
}

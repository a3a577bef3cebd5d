import type { Graph } from '../../engine/graph/graph';
import { Random } from '../../engine/graph/random';
import { float32, int64, type Tensor } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import type { MemoryOptions, Runtime } from '../../engine/runtime/runtime';
import { Trainer } from '../../engine/training/trainer';

/** A network of 8x8 images with the parts that residual ones have: batch norm, a strided shortcut, pooling. */
export function residualNetwork(classes = 4): Graph {
  const builder = new GraphBuilder('residual');
  const random = new Random(5);
  const weight = (name: string, dims: number[]): string => {
    const tensor = float32(dims);
    for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 0.3 * random.normal();
    return builder.initializer(name, tensor);
  };
  const conv = (x: string, name: string, [filters = 1, channels = 1, size = 1]: number[], stride: number): string =>
    builder.emit('Conv', [x, weight(name, [filters, channels, size, size])], {
      kernel_shape: [size, size],
      strides: [stride, stride],
      pads: Array<number>(4).fill((size - 1) / 2),
    });
  const norm = (x: string, name: string, channels: number): string => {
    const vector = (part: string, value: number): string =>
      builder.initializer(`${name}.${part}`, float32([channels], new Float32Array(channels).fill(value)));
    return builder.emit('BatchNormalization', [x, vector('scale', 1), vector('bias', 0), vector('mean', 0), vector('var', 1)]);
  };
  const x = builder.input('x', ['N', 3, 8, 8]);
  const first = builder.emit('MaxPool', [builder.emit('Relu', [norm(conv(x, 'c1', [4, 3, 3], 1), 'n1', 4)])], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
  });
  const main = norm(conv(first, 'c2', [6, 4, 3], 2), 'n2', 6);
  const sum = builder.emit('Relu', [builder.emit('Add', [main, conv(first, 'c3', [6, 4, 1], 2)])]);
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [sum])]);
  builder.output(builder.emit('Gemm', [flat, weight('fc', [classes, 6])], { transB: 1 }), 'logits');
  return builder.graph;
}

export interface NoiseRun {
  readonly steps: number;
  readonly device?: string;
  readonly input?: readonly number[];
  readonly memory?: MemoryOptions;
  readonly batch?: number;
  readonly afterStep?: () => void;
}

export interface Trained {
  readonly losses: readonly number[];
  readonly weights: ReadonlyMap<string, Tensor>;
}

/** SGD with momentum on random batches (of four), the same for every runtime. */
export async function trainOnNoise(runtime: Runtime, network: Graph, options: NoiseRun): Promise<Trained> {
  const { device, memory, batch = 4 } = options;
  const trainer = await Trainer.create(runtime, network, {
    batch,
    optimiser: { kind: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
    seed: 3,
    device,
    memory,
    layout: memory ? 'portable' : 'auto',
  });
  try {
    const losses = await trainSteps(trainer, options);
    return { losses, weights: trainer.weights().initializers };
  } finally {
    trainer.dispose();
  }
}

/** Steps on random batches, whose losses are returned; ends with the weights on the host. */
export async function trainSteps(trainer: Trainer, { steps, input = [3, 8, 8], batch = 4, afterStep }: NoiseRun): Promise<number[]> {
  const random = new Random(11);
  const losses: number[] = [];
  const labels = int64(
    [batch],
    Array.from({ length: batch }, (_, i) => i % 4),
  );
  for (let step = 0; step < steps; step++) {
    const x = float32([batch, ...input]);
    for (let i = 0; i < x.data.length; i++) x.data[i] = random.normal();
    losses.push((await trainer.step(x, labels, 0.02)).loss);
    afterStep?.();
  }
  await trainer.sync();
  return losses;
}

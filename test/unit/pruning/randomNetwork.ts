import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';

/** A random classifier from layers that tie channels in different ways. */
export function randomNetwork(seed: number): Graph {
  const random = new Random(seed);
  const builder = new GraphBuilder(`random${seed}`);
  let names = 0;
  const weight = (dims: number[]): string =>
    builder.initializer(
      `w${names++}`,
      float32(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, 0.5)),
      ),
    );
  const positive = (dims: number[]): string =>
    builder.initializer(
      `p${names++}`,
      float32(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => random.uniform(0.5, 1.5)),
      ),
    );
  const channels = (x: string): number => Number(builder.typeOf(x).shape?.[1]);
  const conv = (x: string, filters: number, groups = 1, kernel = 3): string =>
    builder.emit('Conv', [x, weight([filters, channels(x) / groups, kernel, kernel]), weight([filters])], {
      kernel_shape: [kernel, kernel],
      pads: Array<number>(4).fill(kernel >> 1),
      group: groups,
    });
  const norm = (x: string): string => {
    const c = channels(x);
    return builder.emit('BatchNormalization', [x, positive([c]), weight([c]), weight([c]), positive([c])]);
  };
  const blocks: ((x: string) => string)[] = [
    (x) => builder.emit('Relu', [norm(conv(x, 4 + random.integer(6)))]),
    (x) => builder.emit('Sigmoid', [conv(x, 4 + random.integer(6))]),
    (x) => builder.emit('PRelu', [conv(x, 6), weight([6, 1, 1])]),
    (x) => builder.emit('Add', [x, norm(conv(builder.emit('Relu', [conv(x, 5)]), channels(x)))]),
    (x) => norm(conv(x, channels(x), channels(x))),
    (x) => conv(builder.emit('Relu', [conv(x, 8)]), 8, 2),
    (x) => builder.emit('Concat', [conv(x, 3, 1, 1), builder.emit('Tanh', [conv(x, 5)])], { axis: 1 }),
    (x) => {
      const [a = '', b = ''] = builder.emitAll('Split', [conv(x, 10), builder.ints([4, 6])], { axis: 1 }, 2);
      return builder.emit('Concat', [builder.emit('Relu', [a]), b], { axis: 1 });
    },
    (x) => {
      const gate = builder.emit('Sigmoid', [
        conv(builder.emit('Relu', [conv(builder.emit('GlobalAveragePool', [x]), 4, 1, 1)]), channels(x), 1, 1),
      ]);
      return builder.emit('Mul', [x, gate]);
    },
    (x) => builder.emit('ConvTranspose', [x, weight([channels(x), 5, 3, 3])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    (x) => builder.emit('Add', [builder.emit('Pad', [x, builder.ints([0, 1, 0, 0, 0, 2, 0, 0])]), conv(x, channels(x) + 3)]),
    (x) => builder.emit('AveragePool', [conv(x, 7)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] }),
    (x) => builder.emit('Slice', [conv(x, 9), builder.ints([2]), builder.ints([8]), builder.ints([1])]),
    (x) => {
      const shuffled = builder.emit('Reshape', [conv(x, 12), builder.ints([0, 2, 6, 6, 6])]);
      return builder.emit('Reshape', [builder.emit('Transpose', [shuffled], { perm: [0, 2, 1, 3, 4] }), builder.ints([0, 12, 6, 6])]);
    },
  ];
  let x = builder.emit('Relu', [conv(builder.input('x', ['N', 3, 6, 6]), 6)]);
  for (let i = 0; i < 4; i++) x = (blocks[random.integer(blocks.length)] ?? ((v) => v))(x);
  const pooled = random.uniform() < 0.5 ? builder.emit('GlobalAveragePool', [x]) : x;
  const flat = builder.emit('Flatten', [pooled]);
  builder.output(builder.emit('Gemm', [flat, weight([4, Number(builder.typeOf(flat).shape?.[1])])], { transB: 1 }), 'logits');
  return builder.graph;
}

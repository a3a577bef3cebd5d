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
      const shuffled = builder.emit('Reshape', [conv(x, 12), builder.ints([0, 2, 6, ...area(x)])]);
      return builder.emit('Reshape', [builder.emit('Transpose', [shuffled], { perm: [0, 2, 1, 3, 4] }), builder.ints([0, 12, ...area(x)])]);
    },
    (x) => builder.emit('Relu', [builder.emit('InstanceNormalization', [conv(x, 6), weight([6]), weight([6])])]),
    (x) => groupNorm(conv(x, 12), 3),
    (x) => builder.emit('Resize', [conv(x, 5), '', builder.floats([4], [1, 1, 2, 2])], { mode: 'nearest' }),
    (x) => {
      const last = builder.emit('Transpose', [conv(x, 6)], { perm: [0, 2, 3, 1] });
      const mixed = builder.emit('Add', [builder.emit('MatMul', [builder.emit('Relu', [last]), weight([6, 7])]), weight([7])]);
      return builder.emit('Transpose', [mixed], { perm: [0, 3, 1, 2] });
    },
    (x) => builder.emit('DepthToSpace', [conv(x, 12)], { blocksize: 2, mode: random.uniform() < 0.5 ? 'DCR' : 'CRD' }),
    (x) => (Number(builder.typeOf(x).shape?.[2]) % 2 === 0 ? builder.emit('SpaceToDepth', [conv(x, 3)], { blocksize: 2 }) : conv(x, 4)),
    (x) => {
      const shared = weight([channels(x), channels(x), 3, 3]);
      const once = (v: string) => builder.emit('Conv', [v, shared], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
      return once(builder.emit('Relu', [once(x)]));
    },
    (x) => builder.emit('Gather', [conv(x, 6), builder.ints([5, 0, 1, 3, 2, 4, 0])], { axis: 1 }),
    (x) => builder.emit('Mul', [conv(x, 5), builder.emit('HardSigmoid', [conv(x, 5, 1, 1)])]),
    (x) => builder.emit('ConvTranspose', [conv(x, 6), weight([6, 4, 3, 3]), weight([8])], { pads: [1, 1, 1, 1], group: 2 }),
    (x) => attention(conv(x, 12, 1, 1)),
    (x) => {
      second = conv(builder.emit('Relu', [conv(x, 5)]), 3);
      return x;
    },
    (x) => builder.emit('Sub', [conv(x, 4), builder.emit('ReduceMean', [conv(x, 4)], { axes: [2, 3] })]),
    (x) => builder.emit('Where', [builder.emit('Greater', [conv(x, 4), builder.scalar(0)]), conv(x, 4), conv(x, 4)]),
    (x) => layerNorm(conv(x, 6)),
    (x) => {
      const centred = builder.emit('Sub', [x, builder.emit('ReduceMean', [x], { axes: [1] })]);
      const variance = builder.emit('ReduceMean', [builder.emit('Mul', [centred, centred])], { axes: [1] });
      const normal = builder.emit('Div', [centred, builder.emit('Sqrt', [builder.emit('Add', [variance, builder.scalar(1e-3)])])]);
      return conv(builder.emit('Mul', [normal, weight([channels(x), 1, 1])]), 5);
    },
    (x) => recurrent(conv(x, 5)),
    (x) => fusedAttention(conv(x, 6, 1, 1)),
    (x) => builder.emit('Concat', [x, conv(builder.emit('Relu', [norm(x)]), 4)], { axis: 1 }),
    (x) => {
      const [value = '', gate = ''] = builder.emitAll('Split', [conv(x, 10)], { axis: 1 }, 2);
      return builder.emit('Mul', [value, builder.emit('Sigmoid', [gate])]);
    },
    (x) => conv(builder.emit('Conv', [conv(x, 4), weight([8, 1, 3, 3])], { pads: [1, 1, 1, 1], group: 4 }), 4, 1, 1),
    (x) => builder.emit('ConvTranspose', [conv(x, 5), weight([5, 1, 3, 3]), weight([5])], { pads: [1, 1, 1, 1], group: 5 }),
    (x) => {
      const row = builder.emit('Reshape', [conv(x, 6), builder.ints([0, 0, -1])]);
      const mixed = builder.emit('Conv', [row, weight([5, 6, 3])], { pads: [1, 1] });
      return builder.emit('Reshape', [mixed, builder.ints([0, 0, ...area(x)])]);
    },
    (x) => {
      const flat = builder.emit('Squeeze', [builder.emit('GlobalMaxPool', [conv(x, 5)]), builder.ints([2, 3])]);
      const dense = builder.emit('Gemm', [builder.emit('Relu', [flat]), weight([5, 6]), weight([6])]);
      const gate = builder.emit('Unsqueeze', [builder.emit('HardSigmoid', [dense]), builder.ints([2, 3])]);
      return builder.emit('Mul', [conv(x, 6), gate]);
    },
    (x) => builder.emit('LRN', [conv(x, 4)], { size: 3 }),
    (x) => builder.emit('Max', [builder.emit('Clip', [conv(x, 4), builder.scalar(0), builder.scalar(6)]), conv(x, 4)]),
  ];
  const area = (x: string): number[] => (builder.typeOf(x).shape ?? []).slice(2).map(Number);
  /** As PyTorch exports GroupNorm. */
  function groupNorm(x: string, groups: number): string {
    const flat = builder.emit('Reshape', [x, builder.ints([0, groups, -1])]);
    const normal = builder.emit('InstanceNormalization', [flat, positive([groups]), weight([groups])]);
    const back = builder.emit('Reshape', [normal, builder.ints([0, channels(x), ...area(x)])]);
    return builder.emit('Add', [builder.emit('Mul', [back, positive([channels(x), 1, 1])]), weight([channels(x), 1, 1])]);
  }
  /** Three heads of four features over the positions of an image. */
  function attention(x: string): string {
    const [height = 1, width = 1] = area(x);
    const rows = builder.emit('Transpose', [builder.emit('Reshape', [x, builder.ints([0, 0, height * width])])], { perm: [0, 2, 1] });
    const heads = (perm: number[]): string => {
      const projected = builder.emit('Add', [builder.emit('MatMul', [rows, weight([12, 12])]), weight([12])]);
      return builder.emit('Transpose', [builder.emit('Reshape', [projected, builder.ints([0, height * width, 3, 4])])], { perm });
    };
    const product = builder.emit('MatMul', [heads([0, 2, 1, 3]), heads([0, 2, 3, 1])]);
    const mixed = builder.emit('MatMul', [builder.emit('Softmax', [product], { axis: -1 }), heads([0, 2, 1, 3])]);
    const merged = builder.emit('Reshape', [
      builder.emit('Transpose', [mixed], { perm: [0, 2, 1, 3] }),
      builder.ints([0, height * width, 12]),
    ]);
    const out = builder.emit('MatMul', [merged, weight([12, 5])]);
    return builder.emit('Reshape', [builder.emit('Transpose', [out], { perm: [0, 2, 1] }), builder.ints([0, 5, height, width])]);
  }
  const toRows = (x: string): string =>
    builder.emit('Transpose', [builder.emit('Reshape', [x, builder.ints([0, 0, -1])])], { perm: [0, 2, 1] });
  const fromRows = (rows: string, height: number, width: number): string =>
    builder.emit('Reshape', [builder.emit('Transpose', [rows], { perm: [0, 2, 1] }), builder.ints([0, 0, height, width])]);
  /** Channels last, as transformers have it, with a residual and a dense layer behind it. */
  function layerNorm(x: string): string {
    const [height = 1, width = 1] = area(x);
    const rows = toRows(x);
    const normal = builder.emit('LayerNormalization', [rows, positive([6]), weight([6])]);
    const hidden = builder.emit('Relu', [builder.emit('Add', [builder.emit('MatMul', [normal, weight([6, 9])]), weight([9])])]);
    return fromRows(builder.emit('Add', [rows, builder.emit('MatMul', [hidden, weight([9, 6])])]), height, width);
  }
  /** A recurrent layer over the positions of an image. */
  function recurrent(x: string): string {
    const [height = 1, width = 1] = area(x);
    const [op, gates, outputs] = ([['LSTM', 4, 3], ['GRU', 3, 2], ['RNN', 1, 2]] as const)[random.integer(3)] ?? (['LSTM', 4, 3] as const); // prettier-ignore
    const directions = 1 + random.integer(2);
    const inputs = [
      builder.emit('Transpose', [toRows(x)], { perm: [1, 0, 2] }),
      weight([directions, gates * 5, 5]),
      weight([directions, gates * 5, 5]),
    ];
    const attributes = { hidden_size: 5, direction: directions === 2 ? 'bidirectional' : 'forward' };
    const [y = ''] = builder.emitAll(op, inputs, attributes, outputs);
    const joined = builder.emit('Reshape', [builder.emit('Transpose', [y], { perm: [2, 0, 1, 3] }), builder.ints([0, 0, -1])]);
    return fromRows(joined, height, width);
  }
  /** Two heads of three features from one product for queries, keys and values. */
  function fusedAttention(x: string): string {
    const [height = 1, width = 1] = area(x);
    const rows = toRows(x);
    const all = builder.emit('Add', [builder.emit('MatMul', [rows, weight([6, 18])]), weight([18])]);
    const [q = '', k = '', v = ''] = builder.emitAll('Split', [all], { axis: 2 }, 3);
    const heads = (y: string, perm: number[]): string =>
      builder.emit('Transpose', [builder.emit('Reshape', [y, builder.ints([0, height * width, 2, 3])])], { perm });
    const product = builder.emit('MatMul', [heads(q, [0, 2, 1, 3]), heads(k, [0, 2, 3, 1])]);
    const mixed = builder.emit('MatMul', [builder.emit('Softmax', [product], { axis: -1 }), heads(v, [0, 2, 1, 3])]);
    const merged = builder.emit('Reshape', [
      builder.emit('Transpose', [mixed], { perm: [0, 2, 1, 3] }),
      builder.ints([0, height * width, 6]),
    ]);
    return fromRows(builder.emit('Add', [rows, builder.emit('MatMul', [merged, weight([6, 6])])]), height, width);
  }
  let second: string | undefined;
  let x = builder.emit('Relu', [conv(builder.input('x', ['N', 3, 6, 6]), 6)]);
  for (let i = 0; i < 4; i++) x = (blocks[random.integer(blocks.length)] ?? ((v) => v))(x);
  const pooled = random.uniform() < 0.5 ? builder.emit('GlobalAveragePool', [x]) : x;
  const last = random.uniform() < 0.3 ? builder.emit('Transpose', [conv(pooled, 5, 1, 1)], { perm: [0, 2, 3, 1] }) : pooled;
  const flat = builder.emit('Flatten', [last]);
  builder.output(builder.emit('Gemm', [flat, weight([4, Number(builder.typeOf(flat).shape?.[1])])], { transB: 1 }), 'logits');
  if (second !== undefined) builder.output(second, 'second');
  return builder.graph;
}

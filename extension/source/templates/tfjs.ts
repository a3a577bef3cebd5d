import * as tf from '@tensorflow/tfjs';

interface BlockTermForm {
  inputModes: number[];
  outputModes: number[];
  ranks: number[];
  blocks: number;
  /** Which two tensors are multiplied next, as numpy.einsum_path says, of: input, core, factors. */
  path: [number, number][];
}

/** Names and shapes of core [N, R1..Rd] and factors [N, Ik, Jk, Rk] (Ye et al., CVPR 2018). */
function blockTermShapes({ inputModes, outputModes, ranks, blocks }: BlockTermForm): [string, number[]][] {
  const factors = inputModes.map((size, k): [string, number[]] => [`factor${k + 1}`, [blocks, size, outputModes[k], ranks[k]]]);
  return [['core', [blocks, ...ranks]], ...factors];
}

/** Standard deviation of the weights at which the represented matrix has Glorot's variance. */
function blockTermDeviation({ ranks, blocks }: BlockTermForm, inputs: number, outputs: number): number {
  const core = ranks.reduce((a, b) => a * b, blocks);
  return (2 / (inputs + outputs) / core) ** (0.5 / (ranks.length + 1));
}

/** x W, where W is a sum of Tucker blocks. */
function blockTermProduct(
  x: tf.Tensor,
  weights: tf.Tensor[],
  { inputModes, outputModes, path }: BlockTermForm,
  outputs: number,
  gates = 1,
): tf.Tensor {
  const letters = 'cdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const d = inputModes.length;
  const [i, j, r] = [letters.slice(0, d), letters.slice(d, 2 * d), letters.slice(2 * d, 3 * d)];
  const size = (sizes: number[]): number => sizes.reduce((a, b) => a * b, 1);
  const inputs = x.shape[x.shape.length - 1];
  const rows = tf.pad(x.reshape([-1, inputs]), [
    [0, 0],
    [0, size(inputModes) - inputs],
  ]);
  const [core, ...factors] = weights;
  let tensors: [string, tf.Tensor][] = [
    ['a' + i, rows.reshape([-1, ...inputModes])],
    ['b' + r, core],
  ];
  factors.forEach((factor, k) => tensors.push(['b' + i[k] + j[k] + r[k], factor]));
  for (const [first, second] of path) {
    const [[left, p], [right, q]] = [tensors[first], tensors[second]];
    tensors = tensors.filter((_, k) => k !== first && k !== second);
    const needed = 'a' + j + tensors.map(([labels]) => labels).join('');
    const kept = [...new Set(left + right)].filter((label) => needed.includes(label)).join('');
    tensors.push([kept, tf.einsum(`${left},${right}->${kept}`, p, q)]);
  }
  const [[labels, y]] = tensors;
  const ordered = y.transpose([...('a' + j)].map((label) => labels.indexOf(label)));
  const split = ordered.reshape([-1, gates, size(outputModes) / gates]);
  return split.slice([0, 0, 0], [-1, gates, outputs / gates]).reshape([...x.shape.slice(0, -1).map((n) => n ?? -1), outputs]);
}

/** In place of tf.layers.dense: its kernel is a sum of Tucker blocks. */
class BlockTermDense extends tf.layers.Layer {
  static className = 'BlockTermDense';
  private factored: tf.LayerVariable[] = [];
  private bias: tf.LayerVariable | undefined;

  constructor(private readonly options: any) {
    super(options);
  }

  build(inputShape: tf.Shape): void {
    const { units, useBias = true } = this.options;
    const inputs = Number(inputShape[inputShape.length - 1]);
    const start = tf.initializers.randomNormal({ mean: 0, stddev: blockTermDeviation(this.options, inputs, units) });
    this.factored = blockTermShapes(this.options).map(([name, shape]) => this.addWeight(name, shape, 'float32', start));
    if (useBias) this.bias = this.addWeight('bias', [units], 'float32', tf.initializers.zeros());
    super.build(inputShape);
  }

  call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      const { units, activation } = this.options;
      const y = blockTermProduct(
        x,
        this.factored.map((w) => w.read()),
        this.options,
        units,
      );
      const z = this.bias ? y.add(this.bias.read()) : y;
      return activation && activation !== 'linear' ? (tf as any)[activation](z) : z;
    });
  }

  computeOutputShape(inputShape: tf.Shape): tf.Shape {
    return [...inputShape.slice(0, -1), this.options.units];
  }

  getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), ...this.options };
  }
}

/** A cell for tf.layers.rnn in place of tf.layers.lstm: the kernel is in block-term form; R, B and gates (i, o, f, c) as in ONNX. */
class BlockTermLSTMCell extends tf.layers.RNNCell {
  static className = 'BlockTermLSTMCell';
  readonly stateSize: number[];
  protected readonly gates: number = 4;
  private factored: tf.LayerVariable[] = [];
  private R: tf.LayerVariable | undefined;
  private B: tf.LayerVariable | undefined;

  constructor(private readonly options: any) {
    super(options);
    this.stateSize = [options.units, options.units];
  }

  build(inputShape: tf.Shape): void {
    const { units, useBias = true } = this.options;
    const [inputs, wide] = [Number(inputShape[inputShape.length - 1]), this.gates * units];
    const start = tf.initializers.randomNormal({ mean: 0, stddev: blockTermDeviation(this.options, inputs, wide) });
    this.factored = blockTermShapes(this.options).map(([name, shape]) => this.addWeight(name, shape, 'float32', start));
    this.R = this.addWeight('R', [1, wide, units], 'float32', tf.initializers.glorotUniform({}));
    if (useBias) this.B = this.addWeight('B', [1, 2 * wide], 'float32', tf.initializers.zeros());
    this.built = true;
  }

  call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor[] {
    return tf.tidy(() => {
      const [x, ...states] = inputs as tf.Tensor[];
      const wide = this.gates * this.options.units;
      const projected = blockTermProduct(
        x,
        this.factored.map((w) => w.read()),
        this.options,
        wide,
        this.gates,
      );
      const own = tf.matMul(states[0] as tf.Tensor2D, this.R!.read().squeeze([0]), false, true);
      if (!this.B) return this.step(projected, own, states);
      const [inner, outer] = tf.split(this.B.read().squeeze([0]), 2);
      return this.step(projected.add(inner), own.add(outer), states);
    });
  }

  protected step(gates: tf.Tensor, own: tf.Tensor, states: tf.Tensor[]): tf.Tensor[] {
    const [i, o, f, g] = tf.split(gates.add(own), 4, 1);
    const c = f.sigmoid().mul(states[1]).add(i.sigmoid().mul(g.tanh()));
    const h = o.sigmoid().mul(c.tanh());
    return [h, h, c];
  }

  getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), ...this.options };
  }
}

/** A cell for tf.layers.rnn in place of tf.layers.gru with resetAfter; gates z, r, h. */
class BlockTermGRUCell extends BlockTermLSTMCell {
  static className = 'BlockTermGRUCell';
  readonly stateSize: number[];
  protected readonly gates: number = 3;

  constructor(options: any) {
    super(options);
    this.stateSize = [options.units];
  }

  protected step(gates: tf.Tensor, own: tf.Tensor, states: tf.Tensor[]): tf.Tensor[] {
    const [[z, r, n], [ownZ, ownR, ownN]] = [tf.split(gates, 3, 1), tf.split(own, 3, 1)];
    const update = z.add(ownZ).sigmoid();
    const candidate = n.add(r.add(ownR).sigmoid().mul(ownN)).tanh();
    const h = tf.scalar(1).sub(update).mul(candidate).add(update.mul(states[0]));
    return [h, h];
  }
}

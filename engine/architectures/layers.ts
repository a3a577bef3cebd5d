import type { Graph } from '../graph/graph';
import { Random } from '../graph/random';
import { type Tensor, elementCount, float32, int64 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';

export interface ConvOptions {
  readonly kernel?: number;
  readonly stride?: number;
  readonly pad?: number;
  /** Top, left, bottom, right in place of `pad`. */
  readonly pads?: readonly number[];
  readonly groups?: number;
  readonly bias?: boolean;
}

/** How weights start: 'fan-out' is He's normal of torchvision's ResNets, 'default' PyTorch's uniform of Conv2d and Linear. */
export type Initialisation = 'fan-out' | 'default';

/** Builds classifiers layer by layer under PyTorch's parameter names; the batch stays symbolic. */
export class Layers {
  private readonly builder: GraphBuilder;
  private readonly random: Random;

  constructor(
    name: string,
    seed: number,
    private readonly initialisation: Initialisation,
  ) {
    this.builder = new GraphBuilder(name);
    this.random = new Random(seed);
  }

  input(shape: readonly number[]): string {
    return this.builder.input('input', ['N', ...shape]);
  }

  channels(value: string): number {
    return Number(this.builder.typeOf(value).shape?.[1]);
  }

  conv(x: string, name: string, filters: number, options: ConvOptions = {}): string {
    const { kernel = 3, stride = 1, pad = Math.floor(kernel / 2), groups = 1, bias = false, pads = [pad, pad, pad, pad] } = options;
    const dims = [filters, this.channels(x) / groups, kernel, kernel];
    const fanIn = elementCount(dims.slice(1));
    const fanOut = (filters * kernel * kernel) / groups;
    const weight = this.initialisation === 'fan-out' ? this.normals(dims, Math.sqrt(2 / fanOut)) : this.uniform(dims, 1 / Math.sqrt(fanIn));
    const inputs = [x, this.builder.initializer(`${name}.weight`, weight)];
    if (bias)
      inputs.push(
        this.builder.initializer(
          `${name}.bias`,
          this.initialisation === 'fan-out' ? float32([filters]) : this.uniform([filters], 1 / Math.sqrt(fanIn)),
        ),
      );
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads,
      dilations: [1, 1],
      group: groups,
    };
    return this.node('Conv', name, inputs, attributes);
  }

  batchNorm(x: string, name: string): string {
    const channels = this.channels(x);
    const add = (suffix: string, value: number): string =>
      this.builder.initializer(`${name}.${suffix}`, float32([channels], new Float32Array(channels).fill(value)));
    const inputs = [x, add('weight', 1), add('bias', 0), add('running_mean', 0), add('running_var', 1)];
    return this.node('BatchNormalization', name, inputs, { epsilon: { float: 1e-5 }, momentum: { float: 0.9 } });
  }

  linear(x: string, name: string, outputs: number): string {
    const inputs = this.channels(x);
    const bound = 1 / Math.sqrt(inputs);
    const weight = this.builder.initializer(`${name}.weight`, this.uniform([outputs, inputs], bound));
    const bias = this.builder.initializer(`${name}.bias`, this.uniform([outputs], bound));
    return this.node('Gemm', name, [x, weight, bias], { transB: 1 });
  }

  /**
   * Product over the last axis of any rank, [..., F] to [..., outputs], with Glorot's uniform weights as transformers have; they lie as
   * [F, outputs], as PyTorch's exporter writes them.
   */
  dense(x: string, name: string, outputs: number, separator = '.'): string {
    const inputs = Number(this.builder.typeOf(x).shape?.at(-1));
    const weight = this.uniform([inputs, outputs], Math.sqrt(6 / (inputs + outputs)));
    const product = this.node('MatMul', name, [x, this.builder.initializer(`${name}${separator}weight`, weight)]);
    return this.node('Add', `${name}.biased`, [product, this.builder.initializer(`${name}${separator}bias`, float32([outputs]))]);
  }

  /** Over the last axis. */
  layerNorm(x: string, name: string): string {
    const features = Number(this.builder.typeOf(x).shape?.at(-1));
    const scale = this.builder.initializer(`${name}.weight`, float32([features], new Float32Array(features).fill(1)));
    const bias = this.builder.initializer(`${name}.bias`, float32([features]));
    return this.node('LayerNormalization', name, [x, scale, bias], { axis: -1, epsilon: { float: 1e-6 } });
  }

  /** Exact, as opset 17 writes it: x (1 + erf(x / sqrt 2)) / 2. */
  gelu(x: string, name: string): string {
    const erf = this.node('Erf', `${name}.erf`, [this.node('Div', `${name}.div`, [x, this.scalar(Math.SQRT2)])]);
    const product = this.node('Mul', `${name}.mul`, [x, this.node('Add', `${name}.add`, [erf, this.scalar(1)])]);
    return this.node('Mul', name, [product, this.scalar(0.5)]);
  }

  relu(x: string, name: string): string {
    return this.node('Relu', name, [x]);
  }

  relu6(x: string, name: string): string {
    return this.node('Clip', name, [x, this.builder.scalar(0), this.builder.scalar(6)]);
  }

  maxPool(x: string, name: string, kernel: number, stride: number, pad = 0): string {
    return this.node('MaxPool', name, [x], { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] });
  }

  globalAverage(x: string, name: string): string {
    return this.node('GlobalAveragePool', name, [x]);
  }

  flatten(x: string): string {
    return this.node('Flatten', 'flatten', [x], { axis: 1 });
  }

  dropout(x: string, name: string, ratio: number): string {
    return this.node('Dropout', name, [x, this.builder.scalar(ratio)]);
  }

  add(a: string, b: string, name: string): string {
    return this.node('Add', name, [a, b]);
  }

  /** Shortcut A of He et al. 2016: every second position, with zero channels before and after. */
  padShortcut(x: string, name: string, filters: number): string {
    const { builder } = this;
    const sliced = this.node('Slice', `${name}.slice`, [
      x,
      builder.ints([0, 0]),
      builder.ints([2 ** 31 - 1, 2 ** 31 - 1]),
      builder.ints([2, 3]),
      builder.ints([2, 2]),
    ]);
    const before = Math.floor((filters - this.channels(x)) / 2);
    const after = filters - this.channels(x) - before;
    return this.node('Pad', `${name}.pad`, [sliced, builder.ints([0, before, 0, 0, 0, after, 0, 0])]);
  }

  finish(logits: string): Graph {
    this.builder.output(logits, 'logits');
    return this.builder.graph;
  }

  scalar(value: number): string {
    return this.builder.scalar(value);
  }

  ints(values: readonly number[]): string {
    return this.builder.ints(values);
  }

  index(value: number): string {
    return this.builder.constant(int64([], [value]));
  }

  normal(name: string, dims: readonly number[], deviation: number): string {
    return this.builder.initializer(name, this.normals(dims, deviation));
  }

  node(op: string, name: string, inputs: readonly string[], attributes: Parameters<GraphBuilder['emitNamed']>[2] = {}): string {
    return this.builder.emitNamed(op, inputs, attributes, [`${name}.out`], { name });
  }

  private normals(dims: readonly number[], deviation: number): Tensor {
    const tensor = float32(dims);
    for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = this.random.normal(0, deviation);
    return tensor;
  }

  private uniform(dims: readonly number[], bound: number): Tensor {
    const tensor = float32(dims);
    for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = this.random.uniform(-bound, bound);
    return tensor;
  }
}

import type { Dim, Shape } from '../../graph/dims';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { type Tensor, elementCount } from '../../graph/tensor';
import { GraphBuilder } from '../../ops/graphBuilder';
import type { AttributeInput } from '../../ops/opRecord';
import { emitActivation } from './activations';
import { LAYERS } from './layers';
import type { KerasLayer, KerasTopology } from './topology';

/** Weights by "layer/weight", such as "conv2d/kernel". */
export type KerasWeights = ReadonlyMap<string, Tensor>;

/**
 * The network as a graph of ONNX operators. Keras keeps channels last; here images are [N, C, H, W], inputs and outputs included,
 * and weights lie as ONNX wants them. Weights are named "layer/kernel" and nodes after their layer.
 */
export function convertKeras({ name, layers, outputs }: KerasTopology, weights: KerasWeights, file: string): Graph {
  const builder = new GraphBuilder(name);
  const values = new Map<string, string>();
  for (const layer of layers) {
    const context = new LayerContext(
      builder,
      layer,
      layer.inputs.map((input) => values.get(input) ?? ''),
      weights,
      file,
    );
    values.set(layer.name, layer.type === 'InputLayer' ? context.graphInput() : convertLayer(context));
  }
  for (const output of outputs) builder.output(values.get(output) ?? '');
  return builder.graph;
}

function convertLayer(context: LayerContext): string {
  const { layer } = context;
  const convert = LAYERS[layer.type];
  if (!convert) return context.fail(`layers of type ${layer.type} cannot be read; export the model to ONNX`);
  const value = convert(context);
  const { activation } = layer.config;
  return typeof activation === 'string' && layer.type !== 'Activation' ? emitActivation(context, value, activation) : value;
}

/** What a layer's conversion sees and uses. */
export class LayerContext {
  constructor(
    private readonly builder: GraphBuilder,
    readonly layer: KerasLayer,
    /** Values of the layers it reads. */
    readonly inputs: readonly string[],
    private readonly weights: KerasWeights,
    private readonly file: string,
  ) {}

  get x(): string {
    return this.inputs[0] ?? this.fail('it reads nothing');
  }

  /** Static shape but for the batch, images as [N, C, H, W]. */
  shape(value: string): Shape {
    return this.builder.typeOf(value).shape ?? this.fail('its input has no known rank');
  }

  size(value: string, axis: number): number {
    const size = this.shape(value).at(axis);
    return typeof size === 'number' ? size : this.fail(`its input has no fixed size along axis ${axis}`);
  }

  /** Axis of ours for one of Keras. */
  axis(value: string, keras: number): number {
    const rank = this.shape(value).length;
    const axis = keras < 0 ? keras + rank : keras;
    return rank === 4 ? ([0, 2, 3, 1][axis] ?? axis) : axis;
  }

  /** A weight of this layer, read through `arrange`; undefined when the layer has none of that name. */
  weight(name: string, arrange: (tensor: Tensor) => Tensor = (t) => t): string | undefined {
    const key = `${this.layer.name}/${name}`;
    const tensor = this.weights.get(key);
    return tensor && this.builder.initializer(key, arrange(tensor));
  }

  requiredWeight(name: string, arrange?: (tensor: Tensor) => Tensor): string {
    return this.weight(name, arrange) ?? this.fail(`its weight ${name} is missing`);
  }

  /** The layer's own node has its name; further ones are told apart by `suffix`. */
  emit(op: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeInput>> = {}, suffix = ''): string {
    const name = suffix ? `${this.layer.name}/${suffix}` : this.layer.name;
    return this.builder.emitNamed(op, inputs, attributes, [`${name}:0`], { name });
  }

  scalar = (value: number): string => this.builder.scalar(value);
  ints = (values: readonly number[]): string => this.builder.ints(values);
  floats = (values: readonly number[]): string => this.builder.floats([values.length], values);

  graphInput(): string {
    const { batch_input_shape: two, batch_shape: three } = this.layer.config;
    const keras = (two ?? three) as readonly (number | null)[] | undefined;
    if (!keras) return this.fail('it states no shape');
    const sizes = keras.slice(1).map((d, i): Dim => d ?? `axis${i + 1}`);
    const shape: Shape = sizes.length === 3 ? ['N', sizes[2] as Dim, sizes[0] as Dim, sizes[1] as Dim] : ['N', ...sizes];
    return this.builder.input(this.layer.name, shape);
  }

  /** Numbers of an option that may be one for all axes. */
  pair(option: string, fallback: number): [number, number] {
    const value = (this.layer.config[option] ?? fallback) as number | readonly number[];
    return typeof value === 'number' ? [value, value] : [value[0] ?? fallback, value[1] ?? fallback];
  }

  number(option: string, fallback: number): number {
    const value = this.layer.config[option];
    return typeof value === 'number' ? value : fallback;
  }

  fail(reason: string): never {
    const { name, type } = this.layer;
    throw new SurgeryError('file-unsupported', `${this.file}: layer ${name} (${type}): ${reason}`, { node: name, op: type });
  }

  requireChannelsLast(): void {
    if ((this.layer.config.data_format ?? 'channels_last') !== 'channels_last') this.fail('only channels_last can be read');
  }
}

/** A tensor with its axes in another order. */
export function permuted(tensor: Tensor, order: readonly number[]): Tensor {
  const source = tensor.data as Float32Array;
  const dims = order.map((axis) => tensor.dims[axis] ?? 1);
  const strides = tensor.dims.map((_, axis) => elementCount(tensor.dims.slice(axis + 1)));
  const steps = order.map((axis) => strides[axis] ?? 1);
  const data = new Float32Array(source.length);
  const at = dims.map(() => 0);
  let from = 0;
  for (let i = 0; i < data.length; i++) {
    data[i] = source[from] as number;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      at[axis] = (at[axis] as number) + 1;
      if ((at[axis] as number) < (dims[axis] as number)) break;
      from -= (steps[axis] as number) * (dims[axis] as number);
      at[axis] = 0;
    }
  }
  return { type: tensor.type, dims, data };
}

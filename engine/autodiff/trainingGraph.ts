import { SurgeryError } from '../graph/errors';
import { type Graph, type Node, feedsOf, floatOf, intOf, producersOf } from '../graph/graph';
import { type Tensor, elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import { parametersOf } from '../ops/parameters';
import { appendBackward } from './backward';
import { TRAINING_OPSET, convertToTrainingOpset } from './convertOpset';
import { softmaxCrossEntropy } from './loss';
import { type Optimiser, type StateSlot, type StepInputs, emitUpdate } from './optimiser';

export interface TrainingGraphOptions {
  readonly batch: number;
  /** Batch statistics and dropout as in training; running statistics and no dropout otherwise. */
  readonly training: boolean;
  /** Initializers to differentiate; all parameters when left out. */
  readonly parameters?: readonly string[];
  /** Without an optimiser the graph gives gradients; with one it gives new parameters and state. */
  readonly optimiser?: Optimiser;
  /** Adds strength * sum |p| to the loss of these parameters (in the update only, not in the reported loss). */
  readonly l1?: ReadonlyMap<string, number>;
}

/** A tensor of independent values, zero with probability `ratio` and 1 / (1 - ratio) otherwise. */
export interface DropoutMask {
  readonly input: string;
  readonly dims: readonly number[];
  readonly ratio: number;
}

/** One training step as a graph of ordinary operators. Every input that is not listed here is a constant inside. */
export interface TrainingGraph {
  readonly graph: Graph;
  readonly batch: number;
  /** Input of the network, [batch, ...], and labels, [batch] int64. */
  readonly x: string;
  readonly y: string;
  /** Scalar outputs: mean loss, and count of correct predictions (int64). */
  readonly loss: string;
  readonly correct: string;
  readonly logits: string;
  /** Gradient output by parameter; only without an optimiser. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Parameters and running statistics, fed under their own name and replaced by an output. */
  readonly updated: ReadonlyMap<string, string>;
  readonly state: readonly StateSlot[];
  readonly masks: readonly DropoutMask[];
  readonly step?: StepInputs;
}

/** Compiles a classifier into forward, softmax cross-entropy, backward and update (DESIGN section 2, "Training is compilation"). */
export function buildTrainingGraph(network: Graph, options: TrainingGraphOptions): TrainingGraph {
  const source = convertToTrainingOpset(network);
  const parameters = options.parameters ?? parametersOf(source);
  const builder = new GraphBuilder(`${network.name}/training`, TRAINING_OPSET);
  const x = addInput(builder, source, options.batch);
  const y = builder.input('label', [options.batch], 'int64');
  addInitializers(builder, source, options, parameters);
  const forward = new ForwardPass(builder, options.training);
  for (const node of source.nodes) forward.add(node);
  const logits = logitsOf(source);
  const { loss, correct, gradient } = softmaxCrossEntropy(builder, logits, y);
  const gradients = appendBackward(builder, forward.nodes, new Map([[logits, gradient]]), parameters);
  [loss, correct, logits].forEach((value) => builder.output(value));
  const common = { graph: builder.graph, batch: options.batch, x, y, loss, correct, logits, masks: forward.masks };
  if (!options.optimiser) {
    for (const value of gradients.values()) builder.output(value);
    return { ...common, gradients, updated: exposeAll(builder, forward.statistics), state: [] };
  }
  const { updated, state, step } = addUpdates(builder, options.optimiser, gradients, options.l1);
  return { ...common, gradients: new Map(), updated: exposeAll(builder, new Map([...updated, ...forward.statistics])), state, step };
}

function addInput(builder: GraphBuilder, source: Graph, batch: number): string {
  const feeds = feedsOf(source);
  const input = feeds[0];
  if (feeds.length !== 1 || !input)
    throw new SurgeryError(
      'graph-invalid',
      `Training needs a network with one input; this one has ${feeds.length} (${feeds.map((f) => f.name).join(', ')})`,
    );
  const dims = (input.shape ?? []).map((d, i) => (typeof d === 'number' ? d : i === 0 ? batch : undefined));
  const unknown = dims.findIndex((d) => d === undefined);
  if (unknown >= 0 || dims.length === 0)
    throw new SurgeryError(
      'shape-mismatch',
      `Input ${input.name} has no fixed size along axis ${Math.max(unknown, 0)}; training needs one`,
    );
  if (dims[0] !== batch)
    throw new SurgeryError(
      'shape-mismatch',
      `Input ${input.name} has a fixed batch of ${dims[0] ?? 0}; use that batch size or export the model with a dynamic batch`,
    );
  return builder.input(input.name, dims as number[], input.type);
}

/** Parameters (and in training the running statistics) become inputs; everything else stays constant. */
function addInitializers(builder: GraphBuilder, source: Graph, options: TrainingGraphOptions, parameters: readonly string[]): void {
  const fed = new Set(parameters);
  if (options.training)
    for (const node of source.nodes)
      if (node.op === 'BatchNormalization') [node.inputs[3], node.inputs[4]].forEach((name) => name && fed.add(name));
  for (const [name, tensor] of source.initializers)
    if (fed.has(name)) builder.input(name, tensor.dims, tensor.type);
    else builder.initializer(name, tensor);
  const missing = parameters.find((name) => !source.initializers.has(name));
  if (missing !== undefined) throw new SurgeryError('option-invalid', `Parameter ${missing} is not in the model`);
}

/** Adds forward nodes, in their training form where they have one. */
class ForwardPass {
  readonly nodes: Node[] = [];
  readonly masks: DropoutMask[] = [];
  /** New running statistics by initializer. */
  readonly statistics = new Map<string, string>();

  constructor(
    private readonly builder: GraphBuilder,
    private readonly training: boolean,
  ) {}

  add(node: Node): void {
    if (this.training && node.op === 'BatchNormalization') this.addBatchNorm(node);
    else if (node.op === 'Dropout') this.addDropout(node);
    else this.push(node);
  }

  private push(node: Node): void {
    this.builder.append(node);
    this.nodes.push(node);
  }

  /**
   * The node gives the batch statistics themselves (momentum 0), which the backward pass needs. The running variance takes the
   * unbiased batch variance, as PyTorch's does (ONNX takes the biased one).
   */
  private addBatchNorm(node: Node): void {
    const [mean = '', variance = ''] = [node.inputs[3], node.inputs[4]];
    const [batchMean, batchVariance] = [`${node.name}/batch_mean`, `${node.name}/batch_var`];
    const attributes = new Map(node.attributes)
      .set('training_mode', { kind: 'int', value: 1 })
      .set('momentum', { kind: 'float', value: 0 });
    this.push({ ...node, outputs: [node.outputs[0] ?? '', batchMean, batchVariance], attributes });
    const shape = this.builder.shape(node.inputs[0] ?? '');
    const samples = elementCount(shape) / (shape[1] ?? 1);
    const momentum = floatOf(node, 'momentum', 0.9);
    const follow = (running: string, batch: string, factor: number): void => {
      const kept = this.builder.emit('Mul', [running, this.builder.scalar(momentum)]);
      this.statistics.set(
        running,
        this.builder.emit('Add', [kept, this.builder.emit('Mul', [batch, this.builder.scalar((1 - momentum) * factor)])]),
      );
    };
    follow(mean, batchMean, 1);
    follow(variance, batchVariance, samples / Math.max(1, samples - 1));
  }

  private addDropout(node: Node): void {
    const [input, output] = [node.inputs[0] ?? '', node.outputs[0] ?? ''];
    const ratio = this.dropoutRatio(node);
    const plain = { ...node, domain: '', outputs: [output] };
    if (!this.training || ratio === 0) return this.push({ ...plain, op: 'Identity', inputs: [input], attributes: new Map() });
    const dims = this.builder.shape(input);
    const mask = this.builder.input(`dropout/${node.name}`, dims);
    this.masks.push({ input: mask, dims, ratio });
    this.push({ ...plain, op: 'Mul', inputs: [input, mask], attributes: new Map() });
  }

  private dropoutRatio(node: Node): number {
    const tensor: Tensor | undefined = this.builder.constantOf(node.inputs[1] ?? '');
    const data = tensor?.data;
    return data instanceof Float32Array ? (data[0] ?? 0.5) : floatOf(node, 'ratio', 0.5);
  }
}

/** The network's first output; a softmax at the end is taken off, because the loss has its own. */
export function logitsOf(source: Graph): string {
  const output = source.outputs[0]?.name;
  if (!output) throw new SurgeryError('graph-invalid', `Graph ${source.name} has no output`);
  const last = producersOf(source).get(output);
  const isSoftmax = last?.op === 'Softmax' || (last?.op === 'LogSoftmax' && intOf(last, 'axis', -1) !== 0);
  return isSoftmax ? (last.inputs[0] ?? output) : output;
}

function addUpdates(
  builder: GraphBuilder,
  optimiser: Optimiser,
  gradients: ReadonlyMap<string, string>,
  l1: ReadonlyMap<string, number> = new Map(),
): { updated: Map<string, string>; state: StateSlot[]; step: StepInputs } {
  const adam = optimiser.kind !== 'sgd';
  const step: StepInputs = {
    learningRate: builder.input('step/learning_rate', []),
    ...(adam ? { correction1: builder.input('step/correction1', []), correction2: builder.input('step/correction2', []) } : {}),
  };
  const updated = new Map<string, string>();
  const state: StateSlot[] = [];
  for (const [parameter, gradient] of gradients) {
    const strength = l1.get(parameter) ?? 0;
    const total = strength
      ? builder.emit('Add', [gradient, signTerm(builder, parameter, strength)], {}, { name: `update/${parameter}/L1` })
      : gradient;
    const update = emitUpdate(builder, optimiser, parameter, total, step);
    updated.set(parameter, update.updated);
    state.push(...update.state);
  }
  for (const slot of state) builder.output(slot.output);
  return { updated, state, step };
}

const signTerm = (builder: GraphBuilder, parameter: string, strength: number): string =>
  builder.emit('Mul', [builder.emit('Sign', [parameter]), builder.scalar(strength)], {}, { name: `update/${parameter}/Sign` });

function exposeAll(builder: GraphBuilder, values: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  for (const value of values.values()) builder.output(value);
  return values;
}

/** A zero for every state slot. */
export const initialState = (state: readonly StateSlot[]): Map<string, Tensor> =>
  new Map(state.map((slot) => [slot.input, float32(slot.dims)]));

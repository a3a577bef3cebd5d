import { SurgeryError } from '../graph/errors';
import { type Graph, type NamedValue } from '../graph/graph';
import { removeUnused } from '../graph/removeUnused';
import { type Tensor, float32 } from '../graph/tensor';
import type { CostTable } from '../ops/costTable';
import { GraphBuilder } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import { parametersOf } from '../ops/parameters';
import { classifierInputs } from './classifierInputs';
import { TRAINING_OPSET, convertToTrainingOpset } from './convertOpset';
import type { Encoding } from './encoding';
import { freeBatch } from './freeBatch';
import type { Distillation } from './loss';
import { type AccumulationInputs, type Optimiser, type StateSlot, type StepInputs, emitAccumulation, emitUpdate } from './optimiser';
import type { Perturbation, RandomInput } from './perturbation';
import { TEACHER, TrainingPasses } from './trainingPasses';

export interface TrainingGraphOptions {
  readonly batch: number;
  /** Batch statistics and dropout as in training; running statistics and no dropout otherwise. */
  readonly training: boolean;
  /** Cross-entropy of a classifier with labels [batch] (by default), or mean squared distance of the first output to a target of its shape. */
  readonly loss?: 'cross-entropy' | 'squared';
  /** Mixes the outputs of a teacher, fed as `teacher`, into the cross-entropy. */
  readonly distillation?: Distillation;
  /** Initializers to differentiate; all parameters when left out. */
  readonly parameters?: readonly string[];
  /** Also gives the gradient with respect to the network's input, under the input's name. */
  readonly inputGradient?: boolean;
  /** Without an optimiser the graph gives gradients; with one it gives new parameters and state. */
  readonly optimiser?: Optimiser;
  /** Adds strength * sum |p| to the loss of these parameters (in the update only, not in the reported loss). */
  readonly l1?: ReadonlyMap<string, number>;
  /** Batches whose mean gradient makes one update; every batch updates when left out. */
  readonly accumulate?: number;
  /** Noise while training; left out of gradients in evaluation mode. */
  readonly perturbation?: Perturbation;
  /** Parameters p whose |dL/dp * p| of the plain loss, before the update, are outputs too. */
  readonly saliency?: readonly string[];
  /** Channels of a block where the runtime has blocked kernels; the plain layout when left out. */
  readonly block?: number;
  /** Measured costs of formulations; built-in rules when left out. */
  readonly costs?: CostTable;
}

/** One training step as a graph of ordinary operators. Every input that is not listed here is a constant inside. */
export interface TrainingGraph {
  readonly graph: Graph;
  readonly batch: number;
  /** Input of the network, [batch, ...], and labels, [batch] int64 (or the target, of the output's shape). */
  readonly x: string;
  readonly y: string;
  /** Input of the sequences' lengths, [batch], where the network takes them. */
  readonly lengths?: NamedValue;
  /** Input of the teacher's logits, of the network's output's shape, where there is a teacher. */
  readonly teacher?: { readonly input: string; readonly dims: readonly number[] };
  /** Scalar outputs: mean loss, and count of correct predictions (int64). */
  readonly loss: string;
  readonly correct: string;
  readonly logits: string;
  /** Gradient output by parameter; only without an optimiser. */
  readonly gradients: ReadonlyMap<string, string>;
  /** |dL/dp * p| output by parameter asked for. */
  readonly saliency: ReadonlyMap<string, string>;
  /** Parameters and running statistics, fed under their own name and replaced by an output. */
  readonly updated: ReadonlyMap<string, string>;
  readonly state: readonly StateSlot[];
  /** Inputs, gradients and state that lie in another form than the file's, by name of the parameter or statistic. */
  readonly encodings: ReadonlyMap<string, Encoding>;
  /** Inputs that are drawn anew for each step. */
  readonly randoms: readonly RandomInput[];
  /** Scalar output by layer: how strongly the perturbation changed it. */
  readonly reports: ReadonlyMap<string, string>;
  readonly step?: StepInputs;
}

/** Compiles a classifier into forward, softmax cross-entropy, backward and update (DESIGN section 2, "Training is compilation"). */
export function buildTrainingGraph(network: Graph, options: TrainingGraphOptions): TrainingGraph {
  const converted = convertToTrainingOpset(network);
  const source = freeBatch(converted, classifierInputs(converted).x, options.batch);
  const parameters = options.parameters ?? parametersOf(source);
  const plain = new GraphBuilder(`${network.name}/training`, TRAINING_OPSET, options.costs);
  const inputs = classifierInputs(source);
  const x = addInput(plain, inputs.x, options.batch);
  if (inputs.lengths) plain.input(inputs.lengths.name, [options.batch], inputs.lengths.type);
  const y =
    options.loss === 'squared'
      ? plain.input('target', outputShape(source, plain, inputs.x.name))
      : plain.input('label', [options.batch], 'int64');
  addInitializers(plain, source, options, parameters);
  const passes = new TrainingPasses(plain, source, options, { x, y }, options.inputGradient ? [...parameters, x] : parameters);
  const { loss, correct, logits, gradient } = passes.forward();
  const { builder, encodings } = passes;
  const gradients = passes.backward(new Map([[logits, gradient]]));
  const statistics = passes.statistics();
  [loss, correct, logits].forEach((value) => builder.output(value));
  const { randoms, reports } = passes;
  const saliency = exposeAll(builder, saliencyOf(builder, gradients, options.saliency ?? []));
  const common = {
    lengths: inputs.lengths,
    ...(options.distillation ? { teacher: { input: TEACHER, dims: builder.shape(TEACHER) } } : {}),
    graph: builder.graph,
    batch: options.batch,
    x,
    y,
    loss,
    correct,
    logits,
    randoms,
    reports,
    saliency,
    encodings,
  };
  if (!options.optimiser) {
    for (const value of gradients.values()) builder.output(value);
    const updated = exposeAll(builder, statistics);
    removeUnused(builder.graph);
    return { ...common, gradients, updated, state: passes.state };
  }
  const { updated, state, step } = addUpdates(builder, options.optimiser, gradients, options);
  const exposed = exposeAll(builder, new Map([...updated, ...statistics]));
  removeUnused(builder.graph);
  return { ...common, gradients: new Map(), updated: exposed, state: [...state, ...passes.state], step };
}

function outputShape(source: Graph, builder: GraphBuilder, x: string): readonly number[] {
  const output = source.outputs[0]?.name ?? '';
  const shape = inferShapes(source, new Map([[x, builder.shape(x)]])).types.get(output)?.shape ?? [];
  if (shape.length === 0 || !shape.every((d) => typeof d === 'number'))
    throw new SurgeryError('shape-mismatch', `The shape of output ${output} is not known`);
  return shape;
}

function addInput(builder: GraphBuilder, input: NamedValue, batch: number): string {
  const dims = (input.shape ?? []).map((d, i) => (typeof d === 'number' ? d : i === 0 ? batch : undefined));
  const unknown = dims.findIndex((d) => d === undefined);
  if (unknown >= 0 || dims.length === 0)
    throw new SurgeryError(
      'shape-mismatch',
      `Input ${input.name} has no fixed size along axis ${Math.max(unknown, 0)}; training needs one`,
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

function addUpdates(
  builder: GraphBuilder,
  optimiser: Optimiser,
  gradients: ReadonlyMap<string, string>,
  { l1 = new Map(), accumulate = 1 }: Pick<TrainingGraphOptions, 'l1' | 'accumulate'>,
): { updated: Map<string, string>; state: StateSlot[]; step: StepInputs } {
  const adam = optimiser.kind !== 'sgd';
  const step: StepInputs = {
    learningRate: builder.input('step/learning_rate', []),
    ...(adam ? { correction1: builder.input('step/correction1', []), correction2: builder.input('step/correction2', []) } : {}),
    ...(accumulate > 1 ? { accumulation: accumulationInputs(builder, optimiser) } : {}),
  };
  const updated = new Map<string, string>();
  const state: StateSlot[] = [];
  for (const [parameter, gradient] of gradients) {
    const strength = l1.get(parameter) ?? 0;
    const gathered = step.accumulation ? emitAccumulation(builder, step.accumulation, parameter, gradient) : undefined;
    const mean = gathered?.total ?? gradient;
    if (gathered) state.push(gathered.state);
    const total = strength
      ? builder.emit('Add', [mean, signTerm(builder, parameter, strength)], {}, { name: `update/${parameter}/L1` })
      : mean;
    const update = emitUpdate(builder, optimiser, parameter, total, step);
    updated.set(parameter, update.updated);
    state.push(...update.state);
  }
  for (const slot of state) builder.output(slot.output);
  return { updated, state, step };
}

function accumulationInputs(builder: GraphBuilder, optimiser: Optimiser): AccumulationInputs {
  const scalar = (name: string): string => builder.input(`step/${name}`, []);
  const averages = optimiser.kind !== 'sgd' || (optimiser.momentum ?? 0) > 0;
  return {
    keep: scalar('keep'),
    share: scalar('share'),
    apply: averages ? scalar('apply') : '',
    decay1: averages ? scalar('decay1') : '',
    decay2: optimiser.kind === 'sgd' ? '' : scalar('decay2'),
  };
}

const signTerm = (builder: GraphBuilder, parameter: string, strength: number): string =>
  builder.emit('Mul', [builder.emit('Sign', [parameter]), builder.scalar(strength)], {}, { name: `update/${parameter}/Sign` });

/** First-order Taylor importance of every element (Molchanov et al. 2017; Gate Decorator's score of one batch). */
function saliencyOf(builder: GraphBuilder, gradients: ReadonlyMap<string, string>, parameters: readonly string[]): Map<string, string> {
  return new Map(
    parameters.flatMap((parameter) => {
      const gradient = gradients.get(parameter);
      if (!gradient) return [];
      const product = builder.emit('Mul', [gradient, parameter], {}, { name: `saliency/${parameter}/Mul` });
      return [[parameter, builder.emit('Abs', [product], {}, { name: `saliency/${parameter}/Abs` })] as const];
    }),
  );
}

function exposeAll(builder: GraphBuilder, values: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  for (const value of values.values()) builder.output(value);
  return values;
}

/** A zero for every state slot. */
export const initialState = (state: readonly StateSlot[]): Map<string, Tensor> =>
  new Map(state.map((slot) => [slot.input, float32(slot.dims)]));

/** Weights and state that a step hands to the next, as input by output. */
export const carriedValues = ({ updated, state }: Pick<TrainingGraph, 'updated' | 'state'>): Map<string, string> =>
  new Map([
    ...[...updated].map(([input, output]) => [output, input] as const),
    ...state.map(({ input, output }) => [output, input] as const),
  ]);

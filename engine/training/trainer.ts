import type { Encoding } from '../autodiff/encoding';
import type { Distillation } from '../autodiff/loss';
import { type Optimiser, type StepInputs } from '../autodiff/optimiser';
import type { Perturbation } from '../autodiff/perturbation';
import { type TrainingGraph, carriedValues } from '../autodiff/trainingGraph';
import type { ConvolutionForm, PoolTrace } from '../contract/memory';
import { SurgeryError } from '../graph/errors';
import { type Graph, copyGraph } from '../graph/graph';
import { type Tensor, elementCount, float32, newArray } from '../graph/tensor';
import { type Layout, blockSize } from '../runtime/layout';
import type { MemoryOptions, Program, Resident, Runtime } from '../runtime/runtime';
import { drawInto } from './drawRandom';
import { lengthsOf } from './evaluate';
import { fittedGraph } from './fittedGraph';
import { measuredCosts } from '../runtime/layout';

export interface TrainerOptions {
  readonly batch: number;
  readonly optimiser: Optimiser;
  /** Seed of what is drawn for each step: dropout masks and noise. */
  readonly seed?: number;
  /** Of a classifier with labels by default; 'squared' takes targets of the output's shape in their place. */
  readonly loss?: 'cross-entropy' | 'squared';
  /** Mixes the outputs of a teacher, given with every step, into the cross-entropy. */
  readonly distillation?: Distillation;
  /** Parameters that change; all when left out. */
  readonly parameters?: readonly string[];
  /** Strength of an L1 term by parameter. */
  readonly l1?: ReadonlyMap<string, number>;
  /** Noise on values of the network while it trains. */
  readonly perturbation?: Perturbation;
  /** Steps whose mean gradient makes one update; batch norm takes the statistics of each step's batch. */
  readonly accumulate?: number;
  /** Parameters whose |dL/dp * p| are summed over the steps. */
  readonly saliency?: readonly string[];
  readonly threads?: number;
  /** Device of the runtime; its default when left out. */
  readonly device?: string;
  readonly profile?: boolean;
  /** Layout of activations in memory; the fastest that the runtime has when left out. */
  readonly layout?: Layout;
  /** Trains within a pool of planned memory. */
  readonly memory?: MemoryOptions;
  /** Told what the pool holds while a step runs. */
  readonly onPool?: (step: number, trace: PoolTrace) => void;
  /** Takes the trained weights out of the network that is given, once they are where they are trained. */
  readonly consume?: boolean;
}

/**
 * Blocked graphs gain nothing from onnxruntime's optimisation, others at most 6 %, while it takes longer than linear time: beyond so many nodes it is left
 * out.
 */
const MANY_NODES = 3000;

/** A training graph once it is compiled. */
type CompiledStep = Omit<TrainingGraph, 'graph'> & Pick<StepResult, 'convolutions'>;

/** What only some steps need. */
export interface StepExtras {
  readonly signal?: AbortSignal;
  /** [batch], of sequences. */
  readonly lengths?: Tensor;
  /** Logits [batch, classes] of the teacher. */
  readonly teacher?: Tensor;
}

export interface StepResult {
  /** Mean loss of the batch, before the update. */
  readonly loss: number;
  readonly correct: number;
  /** How strongly the perturbation changed each layer, in its own unit; empty without one. */
  readonly reports: ReadonlyMap<string, number>;
  /** Time of the compiled step. */
  readonly seconds: number;
  /** What was planned of its memory, where it is, and what it really took. */
  readonly memory?: Program['schedule'];
  readonly measured?: Program['measured'];
  /** How gradients of convolutions are computed, with a dynamic workspace. */
  readonly convolutions?: readonly ConvolutionForm[];
}

/** Everything a run needs to go on bit for bit: tensors by name and the number of steps done. */
export interface TrainerState {
  readonly step: number;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A compiled training step with its weights. New weights are written beside the old ones and the two change places, so nothing is copied. */
export class Trainer {
  private step_ = 0;
  private readonly seed: number;
  private readonly drawn: ReadonlyMap<string, Tensor & { data: Float32Array }>;
  private readonly scalars: Map<string, Tensor & { data: Float32Array }>;
  private readonly results: Map<string, Tensor>;
  private readonly saliencySums: ReadonlyMap<string, Float64Array>;
  /** How the host's weights and state stand to those that the program keeps, if it does; it has none while they are behind. */
  private host: 'ahead' | 'equal' | 'behind';

  private constructor(
    private readonly network: Graph,
    private readonly compiled: CompiledStep,
    private readonly program: Program,
    private readonly options: TrainerOptions,
    private readonly held: ReadonlyMap<string, Held>,
    private current: Map<string, Tensor>,
    private next: Map<string, Tensor>,
  ) {
    this.seed = options.seed ?? 1;
    this.host = program.resident ? 'behind' : 'ahead';
    this.drawn = new Map(compiled.randoms.map(({ input, dims }) => [input, float32(dims)]));
    this.scalars = new Map(scalarInputs(compiled.step).map((name) => [name, float32([])]));
    this.results = new Map<string, Tensor>([
      [compiled.loss, float32([])],
      [compiled.correct, { type: 'int64', dims: [], data: new BigInt64Array(1) }],
      ...[...compiled.reports.values()].map((name) => [name, float32([])] as const),
    ]);
    this.saliencySums = new Map(
      [...compiled.saliency].map(([name, output]) => {
        const { encoding, dims } = held.get(name) as Held;
        const tensor = float32(encoding?.dims ?? dims);
        this.results.set(output, tensor);
        return [name, new Float64Array(tensor.data.length)];
      }),
    );
  }

  static async create(runtime: Runtime, network: Graph, given: TrainerOptions): Promise<Trainer> {
    const options = { ...given, costs: measuredCosts(runtime, given.device) };
    const mayBlock = options.layout === 'blocked' || network.nodes.some(({ op }) => op === 'Conv');
    const block = mayBlock ? await blockSize(runtime, options.layout, options.device) : 1;
    const { training, convolutions } = fittedGraph(runtime, network, { ...options, block, training: true }, options.memory);
    const { graph, ...compiled } = training;
    const program = await runtime.compile(graph, {
      threads: options.threads,
      profile: options.profile,
      device: options.device,
      carry: carriedValues(compiled),
      memory: options.memory,
      ...(compiled.encodings.size > 0 || graph.nodes.length > MANY_NODES ? { optimisation: 'none' as const } : {}),
    });
    const { resident } = program;
    const current = new Map<string, Tensor>();
    for (const [name, tensor] of initialValues(compiled, network))
      if (resident) await resident.write(new Map([[name, tensor]]));
      else current.set(name, tensor);
    const next = new Map(
      [...current].map(([name, tensor]) => [name, { ...tensor, data: newArray(tensor.type, elementCount(tensor.dims)) }]),
    );
    const held = heldValues(compiled, network);
    const kept = copyGraph(network);
    for (const name of compiled.updated.keys()) {
      const empty = emptied(network.initializers.get(name) as Tensor);
      kept.initializers.set(name, empty);
      if (options.consume) network.initializers.set(name, empty);
    }
    return new Trainer(kept, { ...compiled, convolutions }, program, options, held, current, next);
  }

  get steps(): number {
    return this.step_;
  }

  /** Loss and update on one batch: x [batch, ...] as the network takes it, y [batch] int64. */
  async step(x: Tensor, y: Tensor, learningRate: number, { signal, lengths, teacher }: StepExtras = {}): Promise<StepResult> {
    const { compiled } = this;
    this.setScalars(learningRate);
    this.draw();
    const { resident } = this.program;
    if (resident) await this.handOver(resident);
    const held = resident ? [] : this.current;
    const feeds = new Map<string, Tensor>([...held, ...this.scalars, ...this.drawn, [compiled.x, x], [compiled.y, y]]);
    if (compiled.lengths) feeds.set(compiled.lengths.name, lengthsOf(compiled.lengths, x, lengths));
    if (compiled.teacher) feeds.set(compiled.teacher.input, asTaught(compiled.teacher.dims, teacher));
    const started = performance.now();
    const { onPool } = this.options;
    await this.program.run(feeds, {
      signal,
      into: resident ? this.results : this.outputTensors(),
      onPool: onPool && ((trace) => onPool(this.step_ + 1, trace)),
    });
    const seconds = (performance.now() - started) / 1000;
    if (!resident) [this.current, this.next] = [this.next, this.current];
    this.step_++;
    this.addSaliency();
    const loss = Number((this.results.get(compiled.loss) as Tensor).data[0]);
    if (!Number.isFinite(loss))
      throw new SurgeryError('runtime-failed', `The loss became ${loss} at step ${this.step_}; lower the learning rate`);
    const scalar = (name: string): number => Number((this.results.get(name) as Tensor).data[0]);
    const reports = new Map([...compiled.reports].map(([layer, name]) => [layer, scalar(name)]));
    const { schedule, measured } = this.program;
    const { convolutions } = compiled;
    return { loss, correct: scalar(compiled.correct), reports, seconds, memory: schedule, measured, convolutions };
  }

  /** Gives the program what the host has changed; the host keeps nothing that a step makes old. */
  private async handOver(resident: Resident): Promise<void> {
    if (this.host === 'ahead') await resident.write(this.current);
    this.host = 'behind';
    this.current = new Map();
  }

  /** Sum over the steps so far of |dL/dp * p|, each with the value that p had before the update. */
  saliency(): ReadonlyMap<string, Float64Array> {
    return new Map(
      [...this.saliencySums].map(([name, data]) => {
        const sums = { type: 'float64', dims: [data.length], data } as const;
        return [name, (this.held.get(name)?.encoding?.decode(sums).data ?? data) as Float64Array];
      }),
    );
  }

  /** Brings weights and state back from the device; whoever reads them after steps waits for it first. */
  async sync(): Promise<void> {
    if (this.host !== 'behind') return;
    if (this.program.resident) this.current = await this.program.resident.read();
    this.host = 'equal';
  }

  private requireHost(): void {
    if (this.host === 'behind')
      throw new SurgeryError('internal', 'The weights are still on the device: sync() must come before they are read');
  }

  /** The network with the weights as they are now. */
  weights(): Graph {
    this.requireHost();
    const graph = copyGraph(this.network);
    for (const name of this.compiled.updated.keys()) graph.initializers.set(name, this.plain(name));
    return graph;
  }

  exportState(): TrainerState {
    this.requireHost();
    return { step: this.step_, tensors: new Map([...this.held.keys()].map((name) => [name, this.plain(name)])) };
  }

  importState(state: TrainerState): void {
    const loaded = new Map<string, Tensor>();
    for (const [name, { dims, encoding }] of this.held) {
      const saved = state.tensors.get(name);
      if (!saved || elementCount(saved.dims) !== elementCount(dims))
        throw new SurgeryError(
          'option-invalid',
          `The checkpoint does not fit this network: ${name} is ${saved ? 'of another shape' : 'missing'}`,
        );
      loaded.set(name, encoding?.encode(saved) ?? copyTensor(saved));
    }
    this.current = loaded;
    this.step_ = state.step;
    this.host = 'ahead';
  }

  /** Memory for other work between two steps, where it is planned. */
  get spareMemory(): MemoryOptions | undefined {
    const { memory } = this.options;
    return memory && { ...memory, within: this.program };
  }

  profile(): Map<string, number> | undefined {
    return this.program.profile?.();
  }

  dispose(): void {
    this.program.dispose();
  }

  /** A copy of a parameter, statistic or state tensor in the form that files have. */
  private plain(name: string): Tensor {
    const tensor = this.current.get(name) as Tensor;
    return this.held.get(name)?.encoding?.decode(tensor) ?? copyTensor(tensor);
  }

  private outputTensors(): Map<string, Tensor> {
    const into = new Map(this.results);
    for (const [name, output] of this.compiled.updated) into.set(output, this.next.get(name) as Tensor);
    for (const slot of this.compiled.state) into.set(slot.output, this.next.get(slot.input) as Tensor);
    return into;
  }

  private addSaliency(): void {
    for (const [name, sums] of this.saliencySums) {
      const { data } = this.results.get(this.compiled.saliency.get(name) ?? '') as Tensor;
      for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + Number(data[i]);
    }
  }

  private setScalars(learningRate: number): void {
    const { step } = this.compiled;
    if (!step) return;
    const { optimiser } = this.options;
    const set = (name: string | undefined, value: number): void => {
      const tensor = name === undefined ? undefined : this.scalars.get(name);
      if (tensor) tensor.data[0] = value;
    };
    const { accumulate = 1 } = this.options;
    const position = this.step_ % accumulate;
    const last = position === accumulate - 1;
    const update = Math.floor(this.step_ / accumulate) + 1;
    const [decay1, decay2] = optimiser.kind === 'sgd' ? [optimiser.momentum ?? 0, 0] : [optimiser.beta1 ?? 0.9, optimiser.beta2 ?? 0.999];
    set(step.learningRate, last ? learningRate : 0);
    set(step.correction1, 1 / (1 - decay1 ** update));
    set(step.correction2, 1 / (1 - decay2 ** update));
    set(step.accumulation?.keep, position === 0 ? 0 : 1);
    set(step.accumulation?.share, 1 / accumulate);
    set(step.accumulation?.apply, last ? 1 : 0);
    set(step.accumulation?.decay1, last ? decay1 : 1);
    set(step.accumulation?.decay2, last ? decay2 : 1);
  }

  /** Depends on the seed and the step only, so that a resumed run goes on with the same numbers. */
  private draw(): void {
    this.compiled.randoms.forEach(({ input, distribution }, i) => {
      const tensor = this.drawn.get(input);
      if (tensor) drawInto(tensor.data, distribution, [this.seed, this.step_, i]);
    });
  }
}

function asTaught(dims: readonly number[], teacher: Tensor | undefined): Tensor {
  if (!teacher || elementCount(teacher.dims) !== elementCount(dims))
    throw new SurgeryError(
      'option-invalid',
      `The teacher's output is ${teacher ? `[${teacher.dims.join(', ')}]` : 'missing'}; the network's is [${dims.join(', ')}]`,
    );
  return { ...teacher, dims };
}

const scalarInputs = ({ accumulation, ...step }: Partial<StepInputs> = {}): string[] =>
  Object.values({ ...step, ...accumulation }).filter((name) => name !== '');

/** A parameter, statistic or state tensor that a step hands to the next. */
interface Held {
  /** Shape of the form that files have, and how to come from it to that of the training graph. */
  readonly dims: readonly number[];
  readonly encoding?: Encoding;
}

function heldValues({ state, updated, encodings }: CompiledStep, network: Graph): Map<string, Held> {
  const ofParameter = (name: string): Held => ({
    dims: (network.initializers.get(name) as Tensor).dims,
    encoding: encodings.get(name),
  });
  return new Map([
    ...state.map(({ input, parameter, dims }) => [input, parameter === undefined ? { dims } : ofParameter(parameter)] as const),
    ...[...updated.keys()].map((name) => [name, ofParameter(name)] as const),
  ]);
}

/** Weights of the network and zeros of the optimiser, as the training graph takes them, made one after another. */
function* initialValues({ state, updated, encodings }: CompiledStep, network: Graph): Iterable<readonly [string, Tensor]> {
  for (const { input, dims } of state) yield [input, float32(dims)];
  for (const name of updated.keys()) {
    const tensor = network.initializers.get(name) as Tensor;
    yield [name, encodings.get(name)?.encode(tensor) ?? copyTensor(tensor)];
  }
}

/** The tensor without its elements. */
const emptied = ({ type, dims }: Tensor): Tensor => ({ type, dims, data: newArray(type, 0) });

const copyTensor = (tensor: Tensor): Tensor => ({ ...tensor, data: (tensor.data as Float32Array).slice() });

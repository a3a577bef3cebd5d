import type { TickTockPhase, TickTockPoint } from '../contract/tickTock';
import { SurgeryError } from '../graph/errors';
import type { Perturbation } from '../autodiff/perturbation';
import type { Graph } from '../graph/graph';
import { parametersOf } from '../ops/parameters';
import type { Runtime } from '../runtime/runtime';
import type { ScheduleOptions } from '../training/schedule';
import { type BatchSource, type EpochResult, type TrainOptions, train } from '../training/train';
import type { Trainer } from '../training/trainer';
import { type PrunableNetwork, findChannelGroups } from './channelGroups';
import { type Gate, type GatedNetwork, insertGates, mergeGates } from './gates';
import { maskedDifference, outputDifference } from './maskedDifference';
import type { Budget } from './ranking';
import type { Selection } from './selection';
import { sliceNetwork } from './slice';
import { TickCutter } from './tickCut';
import { TickTockBudget } from './tickTockBudget';
import type { TickTockConfig } from './tickTockConfig';
import { TickTockProgress } from './tickTockProgress';
import { type TickTockState, isGated } from './tickTockState';

export interface TickTockSetup {
  readonly runtime: Runtime;
  readonly network: Graph;
  /** Batches of `config.batch` samples. */
  readonly source: BatchSource;
  readonly config: TickTockConfig;
  readonly budget: Budget & { readonly latency?: number };
  readonly locked?: ReadonlySet<string>;
  readonly roundTo?: number;
  /** Who teaches where the settings have a weight for it; the network as it was when left out. */
  readonly teacher?: Graph;
  /** Noise for training the network as it is at the moment. */
  perturbation?(network: Graph): Perturbation | undefined;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Ends the run and keeps the network of the last complete Tick or epoch. */
  readonly stop?: AbortSignal;
  /** Goes on from a state that was saved. */
  resume?(start: GatedNetwork): TickTockState;
  /** Median milliseconds of one sample; needed for a latency budget. */
  readonly latency?: (network: Graph) => Promise<number>;
  /** After every epoch and Tick, with the network without gates. */
  onPoint?(point: TickTockPoint, network: () => Graph): TickTockPoint | Promise<TickTockPoint>;
  save?(state: TickTockState): void;
  onProgress?(done: number, total: number, message: string): void;
}

export interface TickTockOutcome {
  /** Structure and names of the network at the start, with fewer channels. */
  readonly network: Graph;
  readonly kept: Selection;
  readonly history: readonly TickTockPoint[];
  readonly maskedDifference: number;
  readonly stopped: boolean;
}

/**
 * Gate Decorator's iterative pruning (You et al. 2019, papers.md 3.1): a first Tock, then Ticks, each of which trains the gates
 * with convolutions frozen and removes the least important filters, a Tock after every few, and fine-tuning once the budget is met.
 * Removed channels leave the network at once, so later Ticks are cheaper. Every phase begins with a momentum of zero.
 *
 * @throws SurgeryError 'budget-impossible' before anything is trained when the layers' minimum does not allow the budget
 */
export async function tickTock(setup: TickTockSetup): Promise<TickTockOutcome> {
  const run = new TickTockRun(setup);
  await run.checkBudget();
  try {
    while (!run.done) await run.phase();
  } catch (error) {
    if (!setup.stop?.aborted || setup.signal?.aborted) throw error;
    return run.outcome(true);
  }
  return run.outcome(false);
}

interface PhaseOptions extends Pick<TrainOptions, 'epochs' | 'schedule' | 'parameters' | 'l1' | 'saliency'> {
  readonly momentum: number;
  readonly steps: number;
}

class TickTockRun {
  private readonly start: PrunableNetwork;
  private readonly budget: TickTockBudget;
  private readonly cutter: TickCutter;
  private readonly gated: GatedNetwork;
  private readonly gates: readonly Gate[];
  private readonly progress: TickTockProgress;
  private readonly signal: AbortSignal | undefined;
  private state: TickTockState;

  constructor(private readonly setup: TickTockSetup) {
    this.start = findChannelGroups(setup.network);
    if (this.start.groups.length === 0)
      throw new SurgeryError('graph-invalid', 'The network has no channels that can be pruned; inspect says why each layer is locked');
    this.budget = new TickTockBudget(this.start, setup.budget, setup.latency);
    this.gated = insertGates(this.start);
    this.cutter = new TickCutter(this.start, this.gated.gates, this.budget, setup);
    this.gates = [...new Map([...this.gated.gates.values()].flat().map((gate) => [gate.name, gate])).values()];
    const signals = [setup.signal, setup.stop].filter((s) => s !== undefined);
    this.signal = signals.length > 0 ? AbortSignal.any(signals) : undefined;
    this.state = setup.resume?.(this.gated) ?? {
      phase: setup.config.initialTock ? 'tock' : 'tick',
      ticks: 0,
      ticksSinceTock: 0,
      epoch: 0,
      passes: 0,
      kept: new Map(),
      history: [],
      difference: 0,
      network: this.gated.graph,
    };
    this.progress = new TickTockProgress(setup.config, setup.source.stepsPerEpoch, this.tickSteps);
  }

  get done(): boolean {
    return this.state.phase === 'done';
  }

  private get tickSteps(): number {
    return Math.max(1, Math.floor(this.setup.config.tickData * this.setup.source.stepsPerEpoch));
  }

  checkBudget(): Promise<void> {
    return this.budget.requireReachable(this.setup.config.minimumKept, this.setup.locked);
  }

  async phase(): Promise<void> {
    this.signal?.throwIfAborted();
    switch (this.state.phase) {
      case 'tock':
        return this.tock();
      case 'tick':
        return this.tick();
      case 'finetune':
        return this.finetune();
      case 'final':
        return this.final();
      case 'done':
    }
  }

  outcome(stopped: boolean): TickTockOutcome {
    const { kept, history, difference } = this.state;
    return { network: this.merged(), kept, history, maskedDifference: difference, stopped };
  }

  private async tock(): Promise<void> {
    const { config } = this.setup;
    await this.train({
      epochs: config.tockEpochs,
      steps: this.setup.source.stepsPerEpoch,
      schedule: { kind: 'triangular', rate: config.highRate, minimum: config.lowRate },
      momentum: config.momentum,
      parameters: this.trainable(),
      l1: new Map(this.gates.map((gate) => [gate.name, config.sparsity])),
    });
    this.enter('tick', { ticksSinceTock: 0 });
  }

  /** Trains gates, shifts and the classifier for one pass, then cuts. */
  private async tick(): Promise<void> {
    const { config } = this.setup;
    if (await this.isBudgetMet()) return this.enterFinetune();
    const names = this.gates.map((gate) => gate.name);
    let cut: (() => Promise<void>) | undefined;
    await this.train(
      {
        epochs: 1,
        steps: this.tickSteps,
        schedule: constant(config.tickRate),
        momentum: config.momentum,
        parameters: this.trainable().filter((name) => !this.frozenInTick().has(name)),
        saliency: names,
      },
      (result, trainer) => (cut = () => this.cut(result, trainer.weights(), trainer.saliency())),
    );
    await cut?.();
    const met = await this.isBudgetMet();
    if (met) return this.enterFinetune();
    const isTockDue = this.state.ticksSinceTock >= config.ticksPerTock;
    this.enter(isTockDue ? 'tock' : 'tick');
  }

  private async finetune(): Promise<void> {
    const { config } = this.setup;
    await this.train({
      epochs: config.finetuneEpochs,
      steps: this.setup.source.stepsPerEpoch,
      schedule: { kind: 'triangular', rate: config.finetuneHighRate, minimum: config.lowRate },
      momentum: config.finetuneMomentum,
    });
    this.enter('final');
  }

  private async final(): Promise<void> {
    const { config } = this.setup;
    await this.train({
      epochs: config.finalEpochs,
      steps: this.setup.source.stepsPerEpoch,
      schedule: constant(config.lowRate),
      momentum: config.finetuneMomentum,
    });
    this.enter('done');
  }

  /** Removes the least important filters and checks the result against the masked network. */
  private async cut(result: EpochResult, trained: Graph, saliency: ReadonlyMap<string, Float64Array>): Promise<void> {
    const { network, selection, kept } = await this.cutter.cut(trained, saliency, this.state.kept);
    const next = sliceNetwork(network, selection);
    const difference = await maskedDifference(this.setup.runtime, network, next, selection);
    this.state = {
      ...this.state,
      network: next,
      trainer: undefined,
      ticks: this.state.ticks + 1,
      ticksSinceTock: this.state.ticksSinceTock + 1,
      passes: this.state.passes + 1,
      kept,
      difference: Math.max(this.state.difference, difference),
    };
    await this.addPoint('tick', result, this.cutter.filtersOf(network) - this.filtersLeft());
  }

  private filtersLeft(): number {
    const network = findChannelGroups(this.state.network);
    return isGated(this.state)
      ? this.cutter.filtersOf(network)
      : network.groups.reduce((n, g) => n + g.channels.length * g.layers.length, 0);
  }

  private isBudgetMet(): Promise<boolean> {
    return this.budget.meets(this.state.kept, () => this.merged());
  }

  private async enterFinetune(): Promise<void> {
    const gated = this.state.network;
    const merged = mergeGates(gated, this.gates);
    const difference = await outputDifference(this.setup.runtime, merged, gated);
    this.state = { ...this.state, network: merged, difference: Math.max(this.state.difference, difference) };
    this.enter('finetune');
  }

  private enter(phase: TickTockState['phase'], change: Partial<TickTockState> = {}): void {
    this.state = { ...this.state, ...change, phase, epoch: 0, trainer: undefined };
    this.setup.save?.(this.state);
  }

  private merged(): Graph {
    return isGated(this.state) ? mergeGates(this.state.network, this.gates) : this.state.network;
  }

  /** Everything but the scales that the gates stand in for. */
  private trainable(): string[] {
    const own = this.gates.flatMap((gate) => (gate.kind === 'norm' ? [gate.name, gate.shift] : [gate.name]));
    const frozen = new Set(this.gates.map((gate) => (gate.kind === 'norm' ? gate.scale : '')));
    return [...new Set([...parametersOf(this.state.network), ...own])].filter((name) => !frozen.has(name));
  }

  /** Weights of convolutions, recurrent layers and every layer that has a gate. */
  private frozenInTick(): Set<string> {
    const gatedLayers = new Set(this.start.groups.flatMap((g) => g.layers));
    const { nodes } = this.state.network;
    const layers = nodes.filter((n) => gatedLayers.has(n.name) || /^(Conv|ConvTranspose|LSTM|GRU|RNN)$/.test(n.op));
    return new Set([...layers.flatMap((n) => n.inputs), ...this.gates.flatMap((gate) => (gate.kind === 'output' ? gate.biases : []))]);
  }

  /** Runs the epochs of this phase that are left, saving after each. A Tick is saved by its cut. */
  private async train(options: PhaseOptions, onTick?: (result: EpochResult, trainer: Trainer) => void): Promise<void> {
    const { config, runtime, source, threads } = this.setup;
    const phase = this.state.phase as TickTockPhase;
    const first = this.state.passes - this.state.epoch;
    if (options.epochs === 0) return;
    await train(runtime, this.state.network, passesFrom(source, first, options.steps), {
      ...options,
      batch: config.batch,
      seed: config.seed,
      optimiser: { kind: 'sgd', momentum: options.momentum, weightDecay: config.weightDecay },
      perturbation: this.setup.perturbation?.(this.state.network),
      distillation: this.distillation(phase),
      threads,
      signal: this.signal,
      ...(this.state.trainer ? { resume: { epoch: this.state.epoch, state: this.state.trainer } } : {}),
      onStep: (step, total, { loss }) => this.report(phase, step, total, loss),
      onEpoch: async (result, trainer) => {
        if (onTick) return onTick(result, trainer);
        this.state = {
          ...this.state,
          network: trainer.weights(),
          trainer: trainer.exportState(),
          epoch: result.epoch,
          passes: this.state.passes + 1,
        };
        await this.addPoint(phase, result);
        this.setup.save?.(this.state);
      },
    });
  }

  /** Ticks score gates by the plain loss. */
  private distillation(phase: TickTockPhase): TrainOptions['distillation'] {
    const { teacherWeight, teacherTemperature } = this.setup.config;
    if (teacherWeight === 0 || phase === 'tick') return undefined;
    return { teacher: this.setup.teacher ?? this.setup.network, weight: teacherWeight, temperature: teacherTemperature };
  }

  private async addPoint(phase: TickTockPhase, result: EpochResult, removed?: number): Promise<void> {
    const { macs, parameters } = this.budget.costOf(this.state.kept);
    const { ticks, passes } = this.state;
    const latencyMs = await this.budget.latency(() => this.merged());
    const point: TickTockPoint = {
      ...{ phase, ticks, passes, macs, parameters, filters: this.filtersLeft() },
      ...(removed === undefined ? {} : { removed }),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      ...{ loss: result.loss, accuracy: result.accuracy },
    };
    const told = (await this.setup.onPoint?.(point, () => this.merged())) ?? point;
    this.state = { ...this.state, history: [...this.state.history, told] };
  }

  private report(phase: TickTockPhase, step: number, total: number, loss: number): void {
    const { done, total: all, secondsLeft } = this.progress.step(phase, step, total, this.state, this.budget.goal(this.state.kept));
    const left = secondsLeft === undefined ? '' : `, about ${Math.max(1, Math.round(secondsLeft / 60))} min left`;
    this.setup.onProgress?.(done, all, `${phase} ${this.state.ticks + (phase === 'tick' ? 1 : 0)}: loss ${loss.toFixed(3)}${left}`);
  }
}

const constant = (rate: number): ScheduleOptions => ({ kind: 'constant', rate });

/** The passes of a source from one on, with only the first steps of each. */
function passesFrom(source: BatchSource, first: number, steps: number): BatchSource {
  return {
    ...source,
    stepsPerEpoch: steps,
    async *train(epoch) {
      let done = 0;
      for await (const batch of source.train(first + epoch)) {
        yield batch;
        if (++done >= steps) return;
      }
    },
  };
}

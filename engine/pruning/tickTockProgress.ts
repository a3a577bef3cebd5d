import type { TickTockPhase } from '../contract/tickTock';
import type { TickTockConfig } from './tickTockConfig';
import type { TickTockState } from './tickTockState';

/** Steps done and an estimate of those to come, and of the time they take from how long steps took so far. */
export class TickTockProgress {
  private done = 0;
  private last = performance.now();
  /** Smoothed seconds of a step, by whether convolutions train in it. */
  private readonly seconds = new Map<boolean, number>();

  constructor(
    private readonly config: TickTockConfig,
    private readonly stepsPerEpoch: number,
    private readonly tickSteps: number,
  ) {}

  /** Counts step `step` of `total` of a phase; `goal` is the fraction left of what the budget counts, and the fraction wanted. */
  step(
    phase: TickTockPhase,
    step: number,
    total: number,
    state: TickTockState,
    goal: readonly [number, number],
  ): { done: number; total: number; secondsLeft?: number } {
    this.done++;
    this.measure(phase !== 'tick');
    const ahead = this.ahead(phase, state, goal);
    const steps = { full: ahead.full + (phase === 'tick' ? 0 : total - step), tick: ahead.tick + (phase === 'tick' ? total - step : 0) };
    const [full, tick] = [this.seconds.get(true) ?? this.seconds.get(false), this.seconds.get(false) ?? this.seconds.get(true)];
    const left = full === undefined || tick === undefined ? undefined : steps.full * full + steps.tick * tick;
    return { done: this.done, total: this.done + steps.full + steps.tick, ...(left === undefined ? {} : { secondsLeft: left }) };
  }

  /** The first step of a phase compiles and is not measured. */
  private measure(isFull: boolean): void {
    const now = performance.now();
    const spent = (now - this.last) / 1000;
    this.last = now;
    const before = this.seconds.get(isFull);
    if (before === undefined || spent < 20 * before) this.seconds.set(isFull, before === undefined ? spent : 0.95 * before + 0.05 * spent);
  }

  /** Steps of the phases after this one: cost falls about with the square of the filters that are left. */
  private ahead(phase: TickTockPhase, state: TickTockState, [now, wanted]: readonly [number, number]): { full: number; tick: number } {
    const { filtersPerTick, ticksPerTock, tockEpochs, finetuneEpochs, finalEpochs } = this.config;
    const final = finalEpochs * this.stepsPerEpoch;
    if (phase === 'final') return { full: 0, tick: 0 };
    if (phase === 'finetune') return { full: final, tick: 0 };
    const ticks = Math.max(0, Math.ceil(Math.log(Math.min(1, wanted / now)) / (2 * Math.log(1 - Math.min(0.9, filtersPerTick || 1e-9)))));
    const current = phase === 'tick' ? 1 : 0;
    const tocks = Math.floor((state.ticksSinceTock + ticks) / ticksPerTock);
    return {
      full: tocks * tockEpochs * this.stepsPerEpoch + finetuneEpochs * this.stepsPerEpoch + final,
      tick: Math.max(0, ticks - current) * this.tickSteps,
    };
  }
}

import type { TrainingMemory } from '../../contract/memory';
import type { StepResult } from '../../training/trainer';

/** The most that a process has ever had resident, in bytes. */
const highWater = (): number => process.resourceUsage().maxRSS * 1024;

/** What training takes within planned memory: made when model and data are loaded, told of every step. */
export class TrainingMeter {
  readonly #floor = process.memoryUsage.rss();
  readonly #before = highWater();
  #sampled = 0;
  #planned: StepResult['memory'];
  #convolutions: StepResult['convolutions'];
  #steps = 0;
  #peak: number | undefined;
  #transferSeconds = 0;
  #waitedSeconds = 0;

  add({ memory, measured, convolutions }: StepResult): void {
    this.#sampled = Math.max(this.#sampled, process.memoryUsage.rss());
    if (!memory || !measured) return;
    this.#planned = memory;
    this.#convolutions = convolutions;
    this.#steps++;
    if (measured.peakBytes !== undefined) this.#peak = Math.max(this.#peak ?? 0, measured.peakBytes);
    this.#transferSeconds += measured.transferSeconds;
    this.#waitedSeconds += measured.waitedSeconds;
  }

  /** Undefined when no step was planned. */
  get memory(): TrainingMemory | undefined {
    if (!this.#planned) return undefined;
    const { poolBytes, peakBytes, spillBytes, trafficBytes } = this.#planned;
    return {
      poolBytes,
      peakBytes,
      ...(this.#peak === undefined ? {} : { measuredPeakBytes: this.#peak }),
      spillBytes,
      trafficBytes,
      ...(this.#convolutions ? { convolutions: this.#convolutions } : {}),
      transferSeconds: this.#transferSeconds / this.#steps,
      waitedSeconds: this.#waitedSeconds / this.#steps,
      processFloorBytes: this.#floor,
      processBytes: Math.max(0, this.#processPeak - this.#floor),
    };
  }

  /** Exact where training raised the high-water mark of the process; else the most after a step. */
  get #processPeak(): number {
    const now = highWater();
    return now > this.#before ? now : this.#sampled;
  }
}

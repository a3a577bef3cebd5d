import type { EngineEvents } from '../contract/protocol';
import { SurgeryError } from '../graph/errors';

type Progress = EngineEvents['job/progress'];

/** What the work behind a request may use to report and to stop. */
export interface JobContext {
  readonly signal: AbortSignal;
  progress(done: number, total: number, unit: string, extra?: Partial<Pick<Progress, 'message' | 'epoch' | 'noise' | 'memory'>>): void;
}

/** Running jobs by id. Progress never goes back, and at most one message in 50 ms leaves for each job. */
export class Jobs {
  private readonly running = new Map<string, AbortController>();

  constructor(private readonly notify: (progress: Progress) => void) {}

  async run<T>(id: string, work: (context: JobContext) => Promise<T>): Promise<T> {
    if (this.running.has(id)) throw new SurgeryError('option-invalid', `Job ${id} is already running`);
    const controller = new AbortController();
    this.running.set(id, controller);
    try {
      return await work({ signal: controller.signal, progress: this.reporter(id) });
    } catch (error) {
      throw controller.signal.aborted ? new SurgeryError('cancelled', 'The run was cancelled') : error;
    } finally {
      this.running.delete(id);
    }
  }

  cancel(id: string): void {
    this.running.get(id)?.abort();
  }

  cancelAll(): void {
    for (const controller of this.running.values()) controller.abort();
  }

  private reporter(job: string): JobContext['progress'] {
    let last = 0;
    let furthest = 0;
    return (done, total, unit, extra = {}) => {
      furthest = Math.max(furthest, done);
      const now = performance.now();
      if (now - last < 50 && done < total && !extra.epoch) return;
      last = now;
      this.notify({ job, done: furthest, total, unit, ...extra });
    };
  }
}

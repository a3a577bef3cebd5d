import { availableParallelism } from 'node:os';
import { SurgeryError, type SurgeryErrorCode } from '../graph/errors';
import type { EncodedSamples, PictureForm, SampleForm } from './dataset';
import { WorkerPool } from './workerPool';
import type { Placement, Scaling } from './normaliser';
import type { PlacedSample } from './sampleOrder';

/** What workers know of the batches that they fill. */
export interface DecodeSetup {
  readonly pictures: PictureForm;
  readonly form: SampleForm;
  readonly scaling: Scaling;
  /** float32 [batch, ...sample shape] each. */
  readonly slots: readonly SharedArrayBuffer[];
}

/** Samples that a worker writes into a slot. */
export interface DecodeTask {
  readonly slot: number;
  readonly samples: readonly { readonly position: number; readonly files: readonly string[]; readonly placement?: Placement }[];
}

/** To a worker: opens a use of it, gives it a task, closes the use. Only tasks are answered. */
export type DecodeMessage = { readonly use: number } & (
  { readonly setup: DecodeSetup } | { readonly task: DecodeTask } | { readonly end: true }
);

/** The first sample of a task that could not be read, if any. */
export interface DecodeAnswer {
  readonly failed?: {
    readonly position: number;
    readonly error: { readonly code: SurgeryErrorCode; readonly message: string; readonly details?: Readonly<Record<string, unknown>> };
  };
}

/** Decoding that takes less time than this, in milliseconds, is not worth the start of workers. */
const WORTH_MS = 500;
const MOST_WORKERS = 8;

/** The workers of this process, which all iterations share. */
const pool = new WorkerPool<DecodeMessage, DecodeAnswer>('decodeWorker');
let uses = 0;

/** How many workers help with so many milliseconds of decoding: one for every core, or none. Those that run already always do. */
export const workersThatPay = (ms: number): number =>
  pool.isRunning || ms > WORTH_MS ? Math.min(availableParallelism(), MOST_WORKERS) : 0;

/** Threads that decode the pictures of one iteration, and augment and normalise them into shared memory. Each takes every n-th sample of a batch. */
export class DecodeWorkers {
  private readonly use = ++uses;
  private readonly workers: ReturnType<typeof pool.enter>;

  constructor(
    count: number,
    private readonly encoded: EncodedSamples,
    setup: Omit<DecodeSetup, 'pictures'>,
  ) {
    const { size, exact } = encoded;
    this.workers = pool.enter(count);
    for (const worker of this.workers) worker.tell({ use: this.use, setup: { ...setup, pictures: { size, exact } } });
  }

  /** Fails with the error of the first sample that cannot be read, as reading them one after another would. */
  async load(slot: number, samples: readonly PlacedSample[]): Promise<void> {
    const tasks = samples.map(({ at, placement }, position) => ({ position, files: this.encoded.files(at), placement }));
    const { length } = this.workers;
    const answers = await Promise.all(
      this.workers.map((worker, k) => {
        const own = tasks.filter(({ position }) => position % length === k);
        return worker.ask({ use: this.use, task: { slot, samples: own } });
      }),
    );
    const [first] = answers.flatMap(({ failed }) => failed ?? []).sort((a, b) => a.position - b.position);
    if (first) throw new SurgeryError(first.error.code, first.error.message, first.error.details);
  }

  /** @param isDone false where the iteration was left early: nothing is likely to follow it, and the workers end at once */
  async close(isDone: boolean): Promise<void> {
    for (const worker of this.workers) worker.tell({ use: this.use, end: true });
    await pool.leave(isDone);
  }
}

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { SurgeryError } from '../graph/errors';

/** Workers that nobody uses end after so many milliseconds. */
const IDLE_MS = 5000;

/**
 * Worker threads of one script, for several users. They outlive a use for a while, since code that has been running is compiled better, but
 * do not keep the process alive.
 */
export class WorkerPool<Message, Answer> {
  private workers: PooledWorker<Message, Answer>[] = [];
  private users = 0;
  private idle: NodeJS.Timeout | undefined;

  /** @param script name of the script without its ending, beside this file */
  constructor(private readonly script: string) {}

  get isRunning(): boolean {
    return this.workers.some((worker) => !worker.hasEnded);
  }

  /** Workers for a user, who must leave. */
  enter(count: number): readonly PooledWorker<Message, Answer>[] {
    clearTimeout(this.idle);
    this.users++;
    this.workers = this.workers.filter((worker) => !worker.hasEnded);
    while (this.workers.length < count) this.workers.push(new PooledWorker(this.script));
    this.workers.forEach((worker) => worker.keepAlive(true));
    return this.workers.slice(0, count);
  }

  /** @param mayFollow whether workers stay for a user who may come soon */
  async leave(mayFollow: boolean): Promise<void> {
    if (--this.users > 0) return;
    this.workers.forEach((worker) => worker.keepAlive(false));
    if (mayFollow) this.idle = setTimeout(() => void this.stop(), IDLE_MS).unref();
    else await this.stop();
  }

  private async stop(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.stop()));
  }
}

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that answers questions in the order in which they come. */
export class PooledWorker<Message, Answer> {
  private readonly worker: Worker;
  private readonly waiting: Waiting<Answer>[] = [];
  private ended: Error | undefined;

  constructor(private readonly script: string) {
    const { file, execArgv } = scriptOf(script);
    this.worker = new Worker(file, { execArgv });
    this.worker.on('message', (answer: Answer) => this.waiting.shift()?.resolve(answer));
    this.worker.on('error', ({ message }: Error) => this.end(message));
    this.worker.on('exit', () => this.end('it was stopped'));
  }

  get hasEnded(): boolean {
    return this.ended !== undefined;
  }

  tell(message: Message): void {
    this.worker.postMessage(message);
  }

  ask(message: Message): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      this.waiting.push({ resolve, reject });
      this.tell(message);
    });
  }

  keepAlive(alive: boolean): void {
    if (alive) this.worker.ref();
    else this.worker.unref();
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }

  private end(reason: string): void {
    this.ended ??= new SurgeryError('internal', `A thread of ${this.script} ended: ${reason}`);
    for (const { reject } of this.waiting.splice(0)) reject(this.ended);
  }
}

/** The script lies beside this file when both are bundled; its source runs where this one's does. */
function scriptOf(name: string): { file: string; execArgv?: string[] } {
  const bundled = path.join(__dirname, `${name}.js`);
  if (existsSync(bundled)) return { file: bundled };
  return { file: path.join(__dirname, `${name}.ts`), execArgv: ['--require', createRequire(__filename).resolve('tsx/cjs')] };
}

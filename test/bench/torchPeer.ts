import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type BenchCase, HIDDEN, einsumOf } from './benchCase';

export interface Times {
  /** Milliseconds of each step. */
  readonly times: number[];
  /** Peak memory of the process so far, MiB. */
  readonly peak: number;
}

export interface PeerOptions {
  readonly threads: number;
  readonly memoryFormat: 'default' | 'channels_last';
  /** Processor time instead of wall time. */
  readonly cpu: boolean;
}

/** A process with the same network in PyTorch, which waits between its turns. */
export class TorchPeer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly version: string,
    /** Milliseconds from an empty process (imports left out) to the end of the first training step, on the clock asked for. */
    readonly first: number,
  ) {}

  /** @returns undefined when there is no python3 with torch and torchvision */
  static async start(item: BenchCase, options: PeerOptions): Promise<TorchPeer | undefined> {
    const python = process.env.PYTHON ?? '/usr/bin/python3';
    const spec = { ...item, ...options, hidden: HIDDEN, einsum: einsumOf(item) };
    // PyTorch does not tell OpenBLAS how many threads it may use.
    const env = { ...process.env, OPENBLAS_NUM_THREADS: String(options.threads), OMP_NUM_THREADS: String(options.threads) };
    const child = spawn(python, [path.join(__dirname, 'bench.py'), JSON.stringify(spec)], { stdio: ['pipe', 'pipe', 'inherit'], env });
    child.on('error', () => undefined);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const ready = await lines.next();
    const [version = '', first] = ready.done ? [] : ready.value.split(' ');
    return ready.done ? undefined : new TorchPeer(child, lines, version, Number(first));
  }

  async run(what: 'train' | 'evaluate', steps: number): Promise<Times> {
    this.child.stdin?.write(`${what} ${steps}\n`);
    const numbers = String((await this.lines.next()).value)
      .split(' ')
      .map(Number);
    return { times: numbers.slice(0, -1), peak: numbers.at(-1) ?? NaN };
  }

  stop(): void {
    this.child.kill();
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface Times {
  /** Milliseconds of each step. */
  readonly times: number[];
  /** Peak memory of the process so far, MiB. */
  readonly peak: number;
}

/** A process with the same network in PyTorch, which waits between its turns. */
export class TorchPeer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    /** Milliseconds from an empty process (imports left out) to the end of the first training step. */
    readonly first: number,
  ) {}

  /**
   * @param options batch, size, threads, memory format, clock
   * @returns undefined when there is no python3 with torch and torchvision
   */
  static async start(network: string, options: readonly (string | number)[]): Promise<TorchPeer | undefined> {
    const python = process.env.PYTHON ?? '/usr/bin/python3';
    const args = [path.join(__dirname, 'bench.py'), network, ...options.map(String)];
    const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.on('error', () => undefined);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const ready = await lines.next();
    return ready.done ? undefined : new TorchPeer(child, lines, Number(ready.value.split(' ')[1]));
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

import { type ChildProcess, fork } from 'node:child_process';
import * as vscode from 'vscode';
import { IPCMessageReader, IPCMessageWriter, type MessageConnection, ResponseError, createMessageConnection } from 'vscode-jsonrpc/node';
import type { EngineEvents, EngineRequests, WireError } from '../engine/contract/protocol';

type Progress = EngineEvents['job/progress'];
type PartialRanks = EngineEvents['ranks/partial'];

/** A failure that the engine reported; `code` is from the closed list of the contract. */
export class EngineError extends Error {
  override readonly name = 'EngineError';

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

interface Running {
  readonly process: ChildProcess;
  readonly connection: MessageConnection;
}

/**
 * The engine in its own process. It starts with the first request and, when it has died, again with the next one; requests that
 * were under way fail with code 'engine-stopped' and are not repeated.
 */
export class EngineClient implements vscode.Disposable {
  private running: Running | undefined;
  private jobs = 0;
  private readonly progressEmitter = new vscode.EventEmitter<Progress>();
  private readonly ranksEmitter = new vscode.EventEmitter<PartialRanks>();
  private readonly stoppedEmitter = new vscode.EventEmitter<string>();
  readonly onProgress = this.progressEmitter.event;
  private readonly poolEmitter = new vscode.EventEmitter<EngineEvents['memory/pool']>();
  /** What the pool of a training within planned memory holds, several times a second. */
  readonly onPool = this.poolEmitter.event;
  private readonly pointEmitter = new vscode.EventEmitter<EngineEvents['tickTock/point']>();
  readonly onTickTockPoint = this.pointEmitter.event;
  readonly onPartialRanks = this.ranksEmitter.event;
  /** The process ended without being asked to. */
  readonly onStopped = this.stoppedEmitter.event;

  constructor(
    private readonly script: string,
    private readonly output: vscode.LogOutputChannel,
    /** What the settings say, as environment variables of the engine. */
    private readonly environment: () => Readonly<Record<string, string>> = () => ({}),
  ) {}

  newJob(): string {
    return `job-${++this.jobs}`;
  }

  get processId(): number | undefined {
    return this.running?.process.pid;
  }

  async request<M extends keyof EngineRequests>(method: M, params: EngineRequests[M]['params']): Promise<EngineRequests[M]['result']> {
    const running = (this.running ??= this.start());
    const died = new Promise<never>((_resolve, reject) => {
      running.process.once('exit', () => reject(new EngineError('engine-stopped', 'The engine stopped while it was working; try again')));
    });
    died.catch(() => undefined);
    try {
      return await Promise.race([running.connection.sendRequest<EngineRequests[M]['result']>(method, params), died]);
    } catch (error) {
      throw toEngineError(error);
    }
  }

  cancel(job: string): void {
    void this.running?.connection.sendNotification('job/cancel', { job });
  }

  restart(): void {
    this.stop();
    this.running = this.start();
  }

  dispose(): void {
    this.stop();
    this.progressEmitter.dispose();
    this.poolEmitter.dispose();
    this.pointEmitter.dispose();
    this.ranksEmitter.dispose();
    this.stoppedEmitter.dispose();
  }

  private start(): Running {
    const child = fork(this.script, [], {
      env: { ...process.env, ...this.environment(), ELECTRON_RUN_AS_NODE: '1' },
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child.stdout?.on('data', (text: Buffer) => this.output.info(text.toString().trimEnd()));
    child.stderr?.on('data', (text: Buffer) => this.output.warn(text.toString().trimEnd()));
    const connection = createMessageConnection(new IPCMessageReader(child), new IPCMessageWriter(child));
    connection.onNotification('job/progress', (progress: Progress) => this.progressEmitter.fire(progress));
    connection.onNotification('memory/pool', (pool: EngineEvents['memory/pool']) => this.poolEmitter.fire(pool));
    connection.onNotification('tickTock/point', (point: EngineEvents['tickTock/point']) => this.pointEmitter.fire(point));
    connection.onNotification('ranks/partial', (found: PartialRanks) => this.ranksEmitter.fire(found));
    connection.onNotification('engine/log', ({ level, message }: EngineEvents['engine/log']) => this.output[level](message));
    connection.listen();
    const running = { process: child, connection };
    child.once('exit', (code, signal) => {
      connection.dispose();
      if (this.running !== running) return;
      this.running = undefined;
      this.stoppedEmitter.fire(signal ?? `code ${String(code)}`);
    });
    return running;
  }

  private stop(): void {
    const { running } = this;
    this.running = undefined;
    running?.process.kill();
  }
}

function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  if (error instanceof ResponseError) {
    const data = error.data as WireError | undefined;
    return new EngineError(data?.code ?? 'internal', error.message);
  }
  const closed = error instanceof Error && /disposed|closed/i.test(error.message);
  return new EngineError(closed ? 'engine-stopped' : 'internal', error instanceof Error ? error.message : String(error));
}

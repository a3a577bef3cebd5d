import path from 'node:path';
import * as vscode from 'vscode';
import { formatBytes, formatCount, formatPercent } from '../engine/contract/format';
import type { TickTockPoint, TickTockResult } from '../engine/contract/tickTock';
import type { TickTockCard, TickTockRunState, TickTockStatus } from '../engine/contract/tickTockPage';
import { type EngineClient, EngineError } from './engineClient';
import { RECORD_SUFFIX, type RunRecord, hasCheckpoint, readRecord, recordFile, removeRecord, writeRecord } from './runRecord';
import type { FinishedRun, RunResult } from './runHistory';
import type { RunActions, Runs } from './runs';

/** Shows the page of a run. */
export type OpenRun = (run: TickTockRun) => Promise<unknown>;

/** A Tick-Tock run: it goes on while its page is closed, and in another session from its checkpoint. */
export class TickTockRun implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private readonly progressed = new vscode.EventEmitter<{ message: string; fraction: number }>();
  readonly onProgress = this.progressed.event;
  private readonly subscriptions: vscode.Disposable[];
  private job: string | undefined;
  private status: TickTockStatus = 'paused';
  private message = '';
  private card: TickTockCard | undefined;
  private saving: Promise<void> = Promise.resolve();

  constructor(
    private record: RunRecord,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
    private readonly open: OpenRun,
  ) {
    this.subscriptions = [
      engine.onTickTockPoint(({ job, point }) => {
        if (job === this.job) this.addPoint(point);
      }),
      engine.onProgress(({ job, done, total, message }) => {
        if (job === this.job) this.progressed.fire({ message: message ?? 'Measuring', fraction: total > 0 ? done / total : 0 });
      }),
    ];
  }

  get file(): string {
    return this.record.file;
  }

  get output(): string {
    return this.record.options.output;
  }

  get start(): string {
    return this.record.start;
  }

  get whole(): RunRecord['whole'] {
    return this.record.whole;
  }

  get options(): RunRecord['options'] {
    return this.record.options;
  }

  get isActive(): boolean {
    return this.job !== undefined;
  }

  get state(): TickTockRunState {
    const { options, points } = this.record;
    const { flops, params, filters, latency } = options;
    return {
      output: path.basename(options.output),
      status: this.status,
      points,
      budget: { flops, params, filters, latency },
      message: this.message,
      ...(this.card ? { card: this.card } : {}),
    };
  }

  /** Runs from the start, or from the checkpoint where there is one. */
  async run(): Promise<void> {
    if (this.job) throw new Error(`${path.basename(this.output)} is already being made`);
    this.runs.removeInterrupted(this.output);
    const resume = hasCheckpoint(this.output);
    this.record = { ...this.record, points: resume ? this.record.points : [], process: this.engine.processId };
    await writeRecord(this.record);
    this.card = undefined;
    this.set('running', resume ? 'Going on from the checkpoint' : 'Starting');
    try {
      const result = await this.runs.run(
        `Tick-Tock ${path.basename(this.output)}`,
        this.output,
        (job) => this.request(job, resume),
        summary,
        {
          isTraining: true,
          actions: this.actions(),
          results: (r) => resultsOf(this.output, r),
          keep: (r) => ({ tickTock: { record: { ...this.record, points: r.history }, card: cardOf(r) } }),
          isInterrupted: () => this.status !== 'failed' && hasCheckpoint(this.output),
        },
      );
      await this.finish(result);
    } catch (error) {
      await this.fail(error);
    } finally {
      this.job = undefined;
      this.changed.fire();
    }
  }

  /** Ends the run within a step and keeps the network of its last Tick or epoch. */
  async stop(): Promise<void> {
    if (!this.job) return;
    this.set('stopping', 'Stopping; the network of the last Tick is measured and written');
    await this.engine.request('tickTock/stop', { job: this.job });
  }

  pause(): void {
    if (!this.job) return;
    this.set('pausing', 'Pausing');
    this.engine.cancel(this.job);
  }

  /** Gives the run up: its checkpoint goes, and what it had cut with it. */
  async discard(): Promise<void> {
    this.set('failed', 'Given up.');
    if (this.job) this.engine.cancel(this.job);
    else await removeRecord(this.output);
    this.runs.removeInterrupted(this.output);
  }

  /** Lists the run as one that can go on. */
  offer(): void {
    const last = this.record.points.at(-1);
    this.message = last ? `Interrupted after Tick ${last.ticks}` : 'Interrupted before its first Tick';
    this.runs.addInterrupted(`Tick-Tock ${path.basename(this.output)}`, this.output, this.message, this.actions());
  }

  dispose(): void {
    for (const s of this.subscriptions) void s.dispose();
    this.changed.dispose();
    this.progressed.dispose();
  }

  actions(): RunActions {
    return { open: () => this.open(this), resume: () => this.run(), discard: () => this.discard() };
  }

  private request(job: string, resume: boolean): Promise<TickTockResult> {
    this.job = job;
    return this.engine.request('tickTock/run', { job, path: this.start, ...this.record.options, resume });
  }

  private async finish(result: TickTockResult): Promise<void> {
    this.record = { ...this.record, points: result.history };
    await this.saving;
    await removeRecord(this.output);
    this.showResult(cardOf(result));
  }

  /** Shows the run as one that is done. */
  showResult(card: TickTockCard): void {
    this.card = card;
    this.set('done', card.stopped ? 'Stopped; the network of the last Tick is kept.' : 'Done.');
  }

  private async fail(error: unknown): Promise<void> {
    const code = error instanceof EngineError ? error.code : 'internal';
    const isGivenUp = this.status === 'failed';
    const canGoOn = hasCheckpoint(this.output) || code === 'cancelled' || code === 'engine-stopped';
    await this.saving;
    if (isGivenUp || !canGoOn) await removeRecord(this.output);
    if (isGivenUp) return;
    const reason = code === 'cancelled' ? 'Paused; it goes on from the last complete Tick or epoch.' : messageOf(error);
    this.set(canGoOn ? 'paused' : 'failed', reason);
  }

  /** A run that goes on tells points again that came after its checkpoint. */
  private addPoint(point: TickTockPoint): void {
    const before = this.record.points.filter((p) => p.passes < point.passes);
    const record = { ...this.record, points: [...before, point], process: this.engine.processId };
    this.record = record;
    this.saving = this.saving.then(() => writeRecord(record)).catch(() => undefined);
    this.changed.fire();
  }

  private set(status: TickTockStatus, message: string): void {
    this.status = status;
    this.message = message;
    this.changed.fire();
  }
}

const cardOf = ({ before, after, maskedDifference, stopped = false }: TickTockResult): TickTockCard => ({
  before,
  after,
  maskedDifference,
  stopped,
});

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const summary = ({ before, after, stopped }: TickTockResult): string =>
  `${stopped ? 'stopped at' : 'done:'} ${formatPercent(after.macs / before.macs)} of the MACs${after.accuracy === undefined ? '' : `, ${formatPercent(after.accuracy, 2)} correct`}`;

function resultsOf(output: string, { before, after }: TickTockResult): RunResult[] {
  const change = (label: string, a: number, b: number, format: (v: number) => string): RunResult => ({
    label,
    description: `${format(a)} → ${format(b)}`,
  });
  return [
    { label: path.basename(output), description: 'open the result', file: output },
    change('accuracy', before.accuracy ?? NaN, after.accuracy ?? NaN, (v) => formatPercent(v, 2)),
    change('MACs', before.macs, after.macs, formatCount),
    change('parameters', before.parameters, after.parameters, formatCount),
    change('file', before.bytes, after.bytes, formatBytes),
    change('latency', before.latencyMs, after.latencyMs, (v) => `${v.toFixed(2)} ms`),
  ];
}

/** All Tick-Tock runs of this session, and those that earlier ones left beside their outputs. */
export class TickTockRuns implements vscode.Disposable {
  private readonly byOutput = new Map<string, TickTockRun>();

  constructor(
    private readonly engine: EngineClient,
    private readonly runs: Runs,
    private readonly open: OpenRun,
  ) {}

  /** The run that belongs to a model: the active one, or the latest. */
  of(file: string): TickTockRun | undefined {
    const own = [...this.byOutput.values()].filter((run) => run.file === file);
    return own.find((run) => run.isActive) ?? own.at(-1);
  }

  create(record: RunRecord): TickTockRun {
    const { output } = record.options;
    const before = this.byOutput.get(output);
    if (before?.isActive) throw new Error(`${path.basename(output)} is already being made; stop that run first or choose another name`);
    before?.dispose();
    this.byOutput.delete(output);
    const run = new TickTockRun(record, this.engine, this.runs, this.open);
    this.byOutput.set(output, run);
    return run;
  }

  /** Lists the interrupted runs of the workspace, or of one folder. */
  async findInterrupted(folder?: string): Promise<void> {
    const pattern = folder ? new vscode.RelativePattern(folder, `*${RECORD_SUFFIX}`) : `**/*${RECORD_SUFFIX}`;
    for (const uri of await vscode.workspace.findFiles(pattern, '**/node_modules/**')) {
      const record = await readRecord(uri.fsPath);
      if (!record || recordFile(record.options.output) !== uri.fsPath || this.isKnown(record.options.output)) continue;
      this.create(record).offer();
    }
  }

  /** What can be done with a finished run of an earlier session. */
  restored({ file, tickTock }: FinishedRun): RunActions {
    if (!tickTock || this.byOutput.has(file)) return {};
    const run = this.create(tickTock.record);
    run.showResult(tickTock.card);
    return { open: () => this.open(run) };
  }

  /** An interrupted run counts more than an earlier one of the same name that is done. */
  private isKnown(output: string): boolean {
    const status = this.byOutput.get(output)?.state.status;
    return status !== undefined && status !== 'done';
  }

  dispose(): void {
    for (const run of this.byOutput.values()) run.dispose();
  }
}

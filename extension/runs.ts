import path from 'node:path';
import * as vscode from 'vscode';
import { formatBytes } from '../engine/contract/format';
import type { StepMemory, TrainingMemory } from '../engine/contract/memory';
import type { EngineClient } from './engineClient';
import { EngineError } from './engineClient';
import type { FinishedRun, RunHistory, RunResult } from './runHistory';

/** What can be done with a run besides cancelling it. */
export interface RunActions {
  /** Shows the page of the run. */
  open?(): Promise<unknown> | undefined;
  /** Goes on from its checkpoint. */
  resume?(): Promise<unknown>;
  /** Gives the run up and removes its checkpoint. */
  discard?(): Promise<unknown>;
}

type RunState = 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted';

export interface Run {
  readonly job: string;
  readonly title: string;
  readonly file: string;
  readonly actions: RunActions;
  readonly isTraining?: boolean;
  state: RunState;
  detail: string;
  fraction: number;
  results: readonly RunResult[];
  /** What training within planned memory took, once it is done. */
  memory?: TrainingMemory;
  /** When it was done, for a run that later sessions list. */
  finished?: Date;
}

export interface RunOptions<T> {
  readonly isTraining?: boolean;
  /** A notification with a button to cancel, in place of a line in the status bar. */
  readonly isWatched?: boolean;
  readonly actions?: RunActions;
  readonly results?: (result: T) => readonly RunResult[];
  readonly memory?: (result: T) => TrainingMemory | undefined;
  /** Later sessions list the run, with what its page needs. */
  readonly keep?: (result: T) => Pick<FinishedRun, 'tickTock'>;
  /** Whether a failed or cancelled run can go on later. */
  readonly isInterrupted?: () => boolean;
}

type Item = Run | RunResult;

const memoryOf = ({ poolBytes, spillBytes, stepSeconds }: StepMemory): string =>
  [`pool ${formatBytes(poolBytes)}`, spillBytes > 0 ? `spill ${formatBytes(spillBytes)}` : '', `${stepSeconds.toFixed(2)} s a step`]
    .filter(Boolean)
    .join(', ');

/** Jobs of this session, finished runs of earlier ones and those that they left: what runs, how far it is, how it ended. */
export class Runs implements vscode.TreeDataProvider<Item>, vscode.Disposable {
  private readonly list: Run[] = [];
  private readonly changed = new vscode.EventEmitter<Item | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly ended = new vscode.EventEmitter<Run>();
  readonly onDidEnd = this.ended.event;
  private readonly subscription: vscode.Disposable;

  constructor(
    private readonly engine: EngineClient,
    private readonly history: RunHistory,
  ) {
    this.subscription = engine.onProgress(({ job, done, total, unit, message, epoch, memory }) => {
      const run = this.list.find((r) => r.job === job);
      if (!run) return;
      run.fraction = total > 0 ? done / total : 0;
      run.detail = epoch
        ? `epoch ${epoch.epoch}: ${(100 * epoch.accuracy).toFixed(2)} %`
        : `${message ? `${message}, ` : ''}${done}/${total} ${unit}${memory ? ` · ${memoryOf(memory)}` : ''}`;
      this.changed.fire(run);
    });
  }

  /** Runs work as a job with progress in the editor; the work's last word is shown in the tree. */
  async run<T>(
    title: string,
    file: string,
    work: (job: string) => Promise<T>,
    describe: (result: T) => string,
    { actions = {}, results, keep, memory, isInterrupted, isWatched, isTraining }: RunOptions<T> = {},
  ): Promise<T> {
    const job = this.engine.newJob();
    const run: Run = { job, title, file, actions, isTraining, state: 'running', detail: '', fraction: 0, results: [] };
    this.list.unshift(run);
    this.changed.fire(undefined);
    try {
      const result = await (isWatched ? this.watched(run, work) : inStatusBar(title, () => work(run.job)));
      run.state = 'done';
      run.detail = describe(result);
      run.results = results?.(result) ?? [];
      run.memory = memory?.(result);
      if (keep) await this.keep(run, keep(result));
      return result;
    } catch (error) {
      run.state = isInterrupted?.() ? 'interrupted' : error instanceof EngineError && error.code === 'cancelled' ? 'cancelled' : 'failed';
      run.detail = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.changed.fire(undefined);
      this.ended.fire(run);
    }
  }

  private watched<T>({ job, title }: Run, work: (job: string) => Promise<T>): Thenable<T> {
    const options = { location: vscode.ProgressLocation.Notification, title: `Scalpel: ${title}`, cancellable: true };
    return vscode.window.withProgress(options, async (progress, token) => {
      let shown = 0;
      const subscriptions = [
        token.onCancellationRequested(() => this.engine.cancel(job)),
        this.engine.onProgress(({ job: other, done, total, unit }) => {
          if (other !== job || total === 0) return;
          const percent = (100 * done) / total;
          progress.report({ increment: percent - shown, message: `${done} of ${total} ${unit}` });
          shown = percent;
        }),
      ];
      try {
        return await work(job);
      } finally {
        vscode.Disposable.from(...subscriptions).dispose();
      }
    });
  }

  /** Lists what earlier sessions finished, below the runs of this one. */
  async restore(actionsOf: (run: FinishedRun) => RunActions): Promise<void> {
    for (const finished of await this.history.list()) {
      const { title, file, detail, results } = finished;
      const run: Run = {
        job: this.engine.newJob(),
        title,
        file,
        actions: actionsOf(finished),
        state: 'done',
        detail,
        fraction: 1,
        results,
      };
      this.list.push({ ...run, finished: new Date(finished.finished) });
    }
    this.changed.fire(undefined);
  }

  /** Takes a finished run from the list; its files stay. */
  async forget(run: Run): Promise<void> {
    this.list.splice(0, this.list.length, ...this.list.filter((r) => r !== run));
    this.changed.fire(undefined);
    await this.history.remove(run.file);
  }

  private async keep(run: Run, more: Pick<FinishedRun, 'tickTock'>): Promise<void> {
    run.finished = new Date();
    const kept = this.list.filter((r) => r === run || !r.finished || r.file !== run.file);
    this.list.splice(0, this.list.length, ...kept);
    const { title, file, detail, results } = run;
    try {
      await this.history.add({ title, file, detail, results, finished: run.finished.toISOString(), ...more });
    } catch (error) {
      void vscode.window.showWarningMessage(`${title} is done, but later sessions will not list it: ${String(error)}`);
    }
  }

  /** Lists a run that ended before its work was done. */
  addInterrupted(title: string, file: string, detail: string, actions: RunActions): Run {
    const run: Run = { job: this.engine.newJob(), title, file, actions, state: 'interrupted', detail, fraction: 0, results: [] };
    this.list.unshift(run);
    this.changed.fire(undefined);
    return run;
  }

  /** Takes interrupted runs of a file from the list, because they go on or were given up. */
  removeInterrupted(file: string): void {
    const kept = this.list.filter((r) => r.state !== 'interrupted' || r.file !== file);
    this.list.splice(0, this.list.length, ...kept);
    this.changed.fire(undefined);
  }

  running(): readonly Run[] {
    return this.list.filter((run) => run.state === 'running');
  }

  getTreeItem(item: Item): vscode.TreeItem {
    return 'state' in item ? runItem(item) : resultItem(item);
  }

  getChildren(item?: Item): Item[] {
    if (!item) return [...this.list];
    return 'state' in item ? [...item.results] : [];
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
    this.ended.dispose();
  }
}

const inStatusBar = <T>(title: string, work: () => Promise<T>): Thenable<T> =>
  vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: `Scalpel: ${title}` }, work);

const ICONS: Readonly<Record<RunState, string>> = {
  running: 'sync~spin',
  done: 'pass',
  failed: 'error',
  cancelled: 'circle-slash',
  interrupted: 'debug-pause',
};

function runItem(run: Run): vscode.TreeItem {
  const { Collapsed, None } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(run.title, run.results.length > 0 ? Collapsed : None);
  item.iconPath = new vscode.ThemeIcon(ICONS[run.state]);
  const percent = run.state === 'running' && run.fraction > 0 ? `${Math.round(100 * run.fraction)} % · ` : '';
  const when = run.finished ? `${dateOf(run.finished)} · ` : '';
  item.description = `${percent}${when}${run.detail}`;
  item.tooltip = [run.title, run.file, run.finished?.toLocaleString(), run.detail].filter(Boolean).join('\n');
  const marks = [run.state === 'interrupted' && run.actions.resume ? 'resumable' : '', run.finished ? 'kept' : ''];
  item.contextValue = [`run-${run.state}`, ...marks].filter(Boolean).join(' ');
  if (run.actions.open) item.command = { command: 'scalpel.openRun', title: 'Show Run', arguments: [run] };
  return item;
}

const dateOf = (date: Date): string =>
  date.toLocaleString(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

function resultItem({ label, description, file }: RunResult): vscode.TreeItem {
  const item = new vscode.TreeItem(label);
  item.description = description;
  item.iconPath = new vscode.ThemeIcon(file ? 'file' : 'dash');
  if (file) {
    item.tooltip = file;
    item.command = { command: 'vscode.open', title: path.basename(file), arguments: [vscode.Uri.file(file)] };
  }
  return item;
}

import * as vscode from 'vscode';
import type { EngineClient } from './engineClient';
import { EngineError } from './engineClient';

export interface Run {
  readonly job: string;
  readonly title: string;
  readonly file: string;
  state: 'running' | 'done' | 'failed' | 'cancelled';
  detail: string;
  fraction: number;
}

/** Jobs of this session: what runs, how far it is, how it ended. */
export class Runs implements vscode.TreeDataProvider<Run>, vscode.Disposable {
  private readonly list: Run[] = [];
  private readonly changed = new vscode.EventEmitter<Run | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly subscription: vscode.Disposable;

  constructor(private readonly engine: EngineClient) {
    this.subscription = engine.onProgress(({ job, done, total, unit, message, epoch }) => {
      const run = this.list.find((r) => r.job === job);
      if (!run) return;
      run.fraction = total > 0 ? done / total : 0;
      run.detail = epoch
        ? `epoch ${epoch.epoch}: ${(100 * epoch.accuracy).toFixed(2)} %`
        : `${message ? `${message}, ` : ''}${done}/${total} ${unit}`;
      this.changed.fire(run);
    });
  }

  /** Runs work as a job with progress in the editor; the work's last word is shown in the tree. */
  async run<T>(title: string, file: string, work: (job: string) => Promise<T>, describe: (result: T) => string): Promise<T> {
    const run: Run = { job: this.engine.newJob(), title, file, state: 'running', detail: '', fraction: 0 };
    this.list.unshift(run);
    this.changed.fire(undefined);
    try {
      const result = await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: `Scalpel: ${title}` }, () =>
        work(run.job),
      );
      run.state = 'done';
      run.detail = describe(result);
      return result;
    } catch (error) {
      run.state = error instanceof EngineError && error.code === 'cancelled' ? 'cancelled' : 'failed';
      run.detail = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.changed.fire(undefined);
    }
  }

  running(): readonly Run[] {
    return this.list.filter((run) => run.state === 'running');
  }

  getTreeItem(run: Run): vscode.TreeItem {
    const item = new vscode.TreeItem(run.title);
    const icons = { running: 'sync~spin', done: 'pass', failed: 'error', cancelled: 'circle-slash' };
    item.iconPath = new vscode.ThemeIcon(icons[run.state]);
    item.description = run.detail;
    item.tooltip = `${run.title}\n${run.file}\n${run.detail}`;
    item.contextValue = `run-${run.state}`;
    return item;
  }

  getChildren(run?: Run): Run[] {
    return run ? [] : this.list;
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
  }
}

import * as vscode from 'vscode';
import { formatBytes } from '../engine/contract/format';
import type { StepMemory } from '../engine/contract/memory';
import type { EngineInfo } from '../engine/contract/protocol';
import type { EngineClient } from './engineClient';
import type { Runs } from './runs';
import type { KernelChoice } from '../engine/contract/kernels';

interface Row {
  readonly name: string;
  readonly value: string;
  readonly icon: string;
  readonly tooltip?: string;
  readonly command?: string;
}

/** How long memory that the engine told counts as new. */
const FRESH_MS = 500;

/** The engine: what networks run on, and the memory that it takes. Looked up when the tree is seen. */
class EngineTree implements vscode.TreeDataProvider<Row>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private training: { readonly job: string; readonly memory: StepMemory } | undefined;
  private told = 0;
  /** Devices are looked for once for each process. */
  private info: Promise<EngineInfo> | undefined;
  private readonly subscriptions: readonly vscode.Disposable[];

  constructor(
    private readonly engine: EngineClient,
    runs: Runs,
  ) {
    this.subscriptions = [
      runs.onDidEnd(() => this.changed.fire()),
      engine.onProgress(({ job, memory, done, total }) => {
        if (memory) this.training = done < total ? { job, memory } : undefined;
        if (!memory || Date.now() - this.told < FRESH_MS) return;
        this.told = Date.now();
        this.changed.fire();
      }),
      engine.onStopped(() => {
        [this.training, this.info] = [undefined, undefined];
        this.changed.fire();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (!change.affectsConfiguration('scalpel.device')) return;
        this.info = undefined;
        this.changed.fire();
      }),
    ];
  }

  refresh(): void {
    this.changed.fire();
  }

  getTreeItem({ name, value, icon, tooltip, command }: Row): vscode.TreeItem {
    const item = new vscode.TreeItem(name);
    item.description = value;
    item.tooltip = tooltip ?? `${name}: ${value}`;
    item.iconPath = new vscode.ThemeIcon(icon);
    if (command) item.command = { command, title: name };
    return item;
  }

  async getChildren(row?: Row): Promise<Row[]> {
    if (row) return [];
    try {
      const info = await (this.info ??= this.engine.request('engine/info', {}));
      const { processBytes, machineBytes } = await this.engine.request('engine/memory', {});
      const choice = vscode.workspace.getConfiguration('scalpel').get('device', 'cpu');
      const device = info.devices.find((d) => d.id === choice);
      const available = info.devices.filter((d) => d.unavailable === undefined).map((d) => d.description);
      return [
        {
          name: 'Device',
          value: device?.unavailable ? `${choice}, not available here` : (device?.description ?? choice),
          icon: 'chip',
          tooltip: `Can run here: ${available.join('; ')}`,
          command: 'scalpel.chooseDevice',
        },
        ...kernelRows(await this.engine.request('kernels/choice', {})),
        { name: 'Runtime', value: `${info.runtime}, ${info.threads} threads`, icon: 'server-process' },
        { name: 'Memory', value: `${formatBytes(processBytes)} of ${formatBytes(machineBytes)}`, icon: 'pulse' },
        ...this.trainingRows(),
      ];
    } catch (error) {
      this.info = undefined;
      return [{ name: 'Not running', value: error instanceof Error ? error.message : String(error), icon: 'warning' }];
    }
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
    this.changed.dispose();
  }

  private trainingRows(): Row[] {
    if (!this.training) return [];
    const { plannedPeakBytes, peakBytes = plannedPeakBytes, poolBytes, spillBytes, stepSeconds } = this.training.memory;
    const row = (name: string, value: string, icon: string): Row => ({ name, value, icon, command: 'scalpel.memory' });
    return [
      row('Training pool', `${formatBytes(peakBytes)} used of ${formatBytes(poolBytes)}`, 'database'),
      ...(spillBytes > 0 ? [row('Spill', formatBytes(spillBytes), 'save')] : []),
      row('Step', `${stepSeconds.toFixed(2)} s`, 'watch'),
    ];
  }
}

function kernelRows(choice: KernelChoice): Row[] {
  if (choice === 'fixed') return [];
  const value = choice === 'measured' ? 'as measured on this machine' : 'built-in choices';
  return [
    {
      name: 'Kernels',
      value,
      icon: 'dashboard',
      tooltip: `Kernels: ${value}; a click measures those of this machine`,
      command: 'scalpel.calibrateKernels',
    },
  ];
}

export function registerEngineTree(engine: EngineClient, runs: Runs): vscode.Disposable {
  const tree = new EngineTree(engine, runs);
  const view = vscode.window.createTreeView('scalpel.engine', { treeDataProvider: tree });
  const seen = view.onDidChangeVisibility(({ visible }) => {
    if (visible) tree.refresh();
  });
  return vscode.Disposable.from(tree, view, seen);
}

import path from 'node:path';
import * as vscode from 'vscode';
import type { LayerSummary, ModelSummary } from '../engine/contract/models';
import type { EngineClient } from './engineClient';
import { formatBytes, formatCount } from '../engine/contract/format';
import { isReplaceableOperator } from '../engine/contract/rankChoices';
import { ModelEditorProvider } from './modelEditor';

type Item =
  | { readonly kind: 'model'; readonly uri: vscode.Uri }
  | { readonly kind: 'layer'; readonly uri: vscode.Uri; readonly layer: LayerSummary }
  | { readonly kind: 'problem'; readonly message: string };

/** Networks of single Ticks are opened from the page of their run. */
const LEFT_OUT = '{**/node_modules/**,**/*-ticks/pass-*.onnx}';

/** The ONNX files of the workspace, with their layers. */
export class ModelsTree implements vscode.TreeDataProvider<Item>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly summaries = new Map<string, Promise<ModelSummary>>();
  private readonly watcher = vscode.workspace.createFileSystemWatcher('**/*.onnx');

  constructor(private readonly engine: EngineClient) {
    const refresh = (uri: vscode.Uri): void => {
      this.summaries.delete(uri.toString());
      this.changed.fire();
    };
    [this.watcher.onDidChange, this.watcher.onDidCreate, this.watcher.onDidDelete].forEach((event) => event(refresh));
  }

  getTreeItem(item: Item): vscode.TreeItem {
    if (item.kind === 'problem') return new vscode.TreeItem(item.message);
    return item.kind === 'model' ? modelItem(item.uri) : layerItem(item.layer);
  }

  async getChildren(item?: Item): Promise<Item[]> {
    if (!item)
      return (await vscode.workspace.findFiles('**/*.onnx', LEFT_OUT))
        .sort((a, b) => a.path.localeCompare(b.path))
        .map((uri) => ({ kind: 'model', uri }));
    if (item.kind !== 'model') return [];
    try {
      const { layers } = await this.summaryOf(item.uri);
      return layers.map((layer) => ({ kind: 'layer', uri: item.uri, layer }));
    } catch (error) {
      return [{ kind: 'problem', message: error instanceof Error ? error.message : String(error) }];
    }
  }

  dispose(): void {
    this.watcher.dispose();
    this.changed.dispose();
  }

  private summaryOf(uri: vscode.Uri): Promise<ModelSummary> {
    const known = this.summaries.get(uri.toString());
    if (known) return known;
    const summary = this.engine.request('model/inspect', { path: uri.fsPath });
    summary.catch(() => this.summaries.delete(uri.toString()));
    this.summaries.set(uri.toString(), summary);
    return summary;
  }
}

function modelItem(uri: vscode.Uri): vscode.TreeItem {
  const item = new vscode.TreeItem(path.basename(uri.fsPath), vscode.TreeItemCollapsibleState.Collapsed);
  item.iconPath = new vscode.ThemeIcon('circuit-board');
  item.resourceUri = uri;
  const folder = path.dirname(vscode.workspace.asRelativePath(uri));
  if (folder !== '.') item.description = folder;
  item.contextValue = 'model';
  item.command = { command: 'vscode.openWith', title: 'Open', arguments: [uri, ModelEditorProvider.viewType] };
  return item;
}

function layerItem({ name, op, macs, parameters, activationBytes, outputShape }: LayerSummary): vscode.TreeItem {
  const item = new vscode.TreeItem(name);
  const costs = [macs > 0 ? `${formatCount(macs)} MACs` : '', parameters > 0 ? `${formatCount(parameters)} parameters` : ''].filter(
    Boolean,
  );
  item.description = [op, ...costs].join(' · ');
  item.tooltip = `${op} ${name}\noutput ${outputShape.join(' × ')}\n${formatBytes(activationBytes)} of activations`;
  item.iconPath = new vscode.ThemeIcon(macs > 0 ? 'symbol-array' : 'symbol-operator');
  item.contextValue = isReplaceableOperator(op) && parameters > 0 ? 'layer-replaceable' : 'layer';
  return item;
}

import * as vscode from 'vscode';
import type { PlanOperation } from '../engine/contract/plan';
import type { ModelEditorProvider } from './modelEditor';

/** The operations of the active model's surgery plan; a check box turns one off and on as an undoable edit. */
export class PlanTree implements vscode.TreeDataProvider<PlanOperation>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  readonly view: vscode.TreeView<PlanOperation>;
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly editors: ModelEditorProvider) {
    this.view = vscode.window.createTreeView('scalpel.plan', { treeDataProvider: this, manageCheckboxStateManually: true });
    this.subscriptions = [
      this.view,
      editors.onDidChangeDocuments(() => this.changed.fire()),
      this.view.onDidChangeCheckboxState(({ items }) => void this.toggle(items)),
    ];
  }

  getTreeItem(operation: PlanOperation): vscode.TreeItem {
    const item = new vscode.TreeItem(labelOf(operation));
    item.description =
      operation.effect?.lossChange === undefined ? '' : `predicted loss change ${operation.effect.lossChange.toPrecision(2)}`;
    item.checkboxState = operation.enabled ? vscode.TreeItemCheckboxState.Checked : vscode.TreeItemCheckboxState.Unchecked;
    item.contextValue = 'operation';
    return item;
  }

  getChildren(operation?: PlanOperation): PlanOperation[] {
    return operation ? [] : [...(this.editors.active?.operations ?? [])];
  }

  async remove(operation: PlanOperation): Promise<void> {
    const document = this.editors.active;
    await document?.edit(
      'Remove operation',
      document.operations.filter((o) => o.id !== operation.id),
    );
  }

  dispose(): void {
    this.subscriptions.forEach((s) => void s.dispose());
    this.changed.dispose();
  }

  private async toggle(items: readonly (readonly [PlanOperation, vscode.TreeItemCheckboxState])[]): Promise<void> {
    const document = this.editors.active;
    if (!document) return;
    const states = new Map(items.map(([operation, state]) => [operation.id, state === vscode.TreeItemCheckboxState.Checked]));
    try {
      await document.edit(
        'Toggle operation',
        document.operations.map((o) => ({ ...o, enabled: states.get(o.id) ?? o.enabled })),
      );
    } catch (error) {
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      this.changed.fire();
    }
  }
}

function labelOf(operation: PlanOperation): string {
  if (operation.kind === 'insert-noise') {
    const { method, layers, epsilon } = operation.noise;
    return `Train with ${method}${epsilon === undefined ? '' : ` ${epsilon}`}${layers ? ` in ${layers.length} layers` : ''}`;
  }
  if (operation.kind === 'decompose')
    return `Block-term ${operation.layer}, rank ${operation.blockTerm.ranks.join(', ')}, ${operation.blockTerm.blocks} blocks`;
  const removed = operation.groups.reduce((n, g) => n + g.channels - g.keep.length, 0);
  return `Prune ${removed} filters in ${operation.groups.length} groups (${operation.criterion})`;
}

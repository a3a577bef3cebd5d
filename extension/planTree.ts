import * as vscode from 'vscode';
import { formatChange, formatCount, formatPercent } from '../engine/contract/format';
import type { PlanOperation, PruneOperation } from '../engine/contract/plan';
import type { CostChange, PlanEffects } from '../engine/contract/pruning';
import type { EngineClient } from './engineClient';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';

type PlanGroup = PruneOperation['groups'][number];

export interface OperationNode {
  readonly kind: 'operation';
  readonly operation: PlanOperation;
}

/** A group of a prune operation, or one of its layers, whose check box is the group's. */
interface GroupNode {
  readonly kind: 'group' | 'layer';
  readonly operation: PruneOperation;
  readonly group: PlanGroup;
  readonly layer?: string;
}

type PlanNode = OperationNode | GroupNode;

const { Checked, Unchecked } = vscode.TreeItemCheckboxState;

/**
 * The operations of the active model's surgery plan. A check box turns an operation off and on, and under a prune operation each group;
 * the layers of a group go together. Every change is an undoable edit.
 */
export class PlanTree implements vscode.TreeDataProvider<PlanNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  readonly view: vscode.TreeView<PlanNode>;
  private readonly subscriptions: vscode.Disposable[];
  private known: { readonly operations: readonly PlanOperation[]; readonly effects: Promise<PlanEffects> } | undefined;

  constructor(
    private readonly editors: ModelEditorProvider,
    private readonly engine: EngineClient,
  ) {
    this.view = vscode.window.createTreeView('scalpel.plan', { treeDataProvider: this, manageCheckboxStateManually: true });
    this.subscriptions = [
      this.view,
      editors.onDidChangeDocuments(() => this.changed.fire()),
      this.view.onDidChangeCheckboxState(({ items }) => void this.toggle(items)),
    ];
  }

  async getTreeItem(node: PlanNode): Promise<vscode.TreeItem> {
    if (node.kind === 'layer') return layerItem(node);
    const effects = await this.effects();
    const own = effects.find((e) => e.operation === node.operation.id);
    return node.kind === 'operation' ? operationItem(node.operation, own) : groupItem(node, own);
  }

  getChildren(node?: PlanNode): PlanNode[] {
    if (!node) return (this.editors.active?.operations ?? []).map((operation) => ({ kind: 'operation', operation }));
    const { operation } = node;
    if (operation.kind !== 'prune' || node.kind === 'layer') return [];
    if (node.kind === 'operation') return operation.groups.map((group) => ({ kind: 'group', operation, group }));
    const { group } = node;
    return group.layers.length > 1 ? group.layers.map((layer) => ({ kind: 'layer', operation, group, layer })) : [];
  }

  async remove(id: string): Promise<void> {
    const document = this.editors.active;
    await document?.edit(
      'Remove operation',
      document.operations.filter((o) => o.id !== id),
    );
  }

  dispose(): void {
    this.subscriptions.forEach((s) => void s.dispose());
    this.changed.dispose();
  }

  /** Asked once for each state of the plan; a plan whose effects cannot be told is shown without them. */
  private effects(): Promise<PlanEffects> {
    const document = this.editors.active;
    if (!document?.operations.some((o) => o.kind === 'prune' && o.enabled)) return Promise.resolve([]);
    if (this.known?.operations !== document.operations) {
      const asked = this.engine.request('plan/effects', { path: document.basePath, plan: document.plan });
      this.known = { operations: document.operations, effects: asked.catch(() => []) };
    }
    return this.known.effects;
  }

  private async toggle(items: readonly (readonly [PlanNode, vscode.TreeItemCheckboxState])[]): Promise<void> {
    const document = this.editors.active;
    const [first] = items;
    if (!document || !first) return;
    try {
      await document.edit(labelOf(...first), toggled(document, items));
    } catch (error) {
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      this.changed.fire();
    }
  }
}

const labelOf = (node: PlanNode, state: vscode.TreeItemCheckboxState): string =>
  node.kind === 'operation' ? 'Toggle operation' : `${state === Checked ? 'Cut' : 'Keep'} the filters of ${node.group.layers.join(', ')}`;

function toggled(document: ModelDocument, items: readonly (readonly [PlanNode, vscode.TreeItemCheckboxState])[]): PlanOperation[] {
  return document.operations.map((operation) => {
    let result = operation;
    for (const [node, state] of items) {
      if (node.operation.id !== operation.id) continue;
      const enabled = state === Checked;
      if (node.kind === 'operation') result = { ...result, enabled };
      else if (result.kind === 'prune')
        result = { ...result, groups: result.groups.map((g) => (g.group === node.group.group ? { ...g, enabled } : g)) };
    }
    return result;
  });
}

const isOn = (group: PlanGroup): boolean => group.enabled !== false;
const removedOf = ({ channels, keep }: PlanGroup): number => channels - keep.length;

function operationItem(operation: PlanOperation, effect: PlanEffects[number] | undefined): vscode.TreeItem {
  const { Collapsed, None } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(titleOf(operation), operation.kind === 'prune' ? Collapsed : None);
  item.id = operation.id;
  const parts = effect ? changeOf(effect, effect.whole) : plannedEffect(operation);
  const loss = operation.effect?.lossChange;
  item.description = [...parts, ...(loss === undefined ? [] : [`predicted loss ${formatChange(loss)}`])].join(' · ');
  item.tooltip = `${titleOf(operation)}\n${item.description}`;
  item.checkboxState = operation.enabled ? Checked : Unchecked;
  item.contextValue = 'operation';
  return item;
}

function groupItem({ operation, group }: GroupNode, effect: PlanEffects[number] | undefined): vscode.TreeItem {
  const { Collapsed, None } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(group.layers[0] ?? group.group, group.layers.length > 1 ? Collapsed : None);
  item.id = `${operation.id}/${group.group}`;
  const own = effect?.groups.find((g) => g.group === group.group);
  const count = isOn(group) ? `${group.channels} → ${group.keep.length}` : `keeps all ${group.channels}`;
  const together = group.layers.length > 1 ? [`${group.layers.length} layers`] : [];
  item.description = [count, ...together, ...(effect && own ? changeOf(own, effect.whole) : [])].join(' · ');
  item.tooltip = `${removedOf(group)} filters of ${group.layers.join(', ')}\n${item.description}`;
  item.checkboxState = checkbox(isOn(group), group);
  return item;
}

function layerItem({ operation, group, layer = '' }: GroupNode): vscode.TreeItem {
  const item = new vscode.TreeItem(layer);
  item.id = `${operation.id}/${group.group}/${layer}`;
  item.checkboxState = checkbox(isOn(group), group);
  return item;
}

function checkbox(isChecked: boolean, { layers }: PlanGroup) {
  const names = layers.length > 1 ? `${layers.join(', ')} (they go together)` : (layers[0] ?? '');
  return { state: isChecked ? Checked : Unchecked, tooltip: isChecked ? `Keep the filters of ${names}` : `Cut the filters of ${names}` };
}

const changeOf = (change: CostChange, whole: CostChange): string[] => [
  `−${formatPercent(change.macs / Math.max(1, whole.macs))} MACs`,
  `−${formatPercent(change.parameters / Math.max(1, whole.parameters))} parameters`,
];

const plannedEffect = ({ effect, kind }: PlanOperation): string[] =>
  effect && kind === 'decompose' ? [`${formatCount(effect.macs)} MACs`, `${formatCount(effect.parameters)} parameters`] : [];

function titleOf(operation: PlanOperation): string {
  if (operation.kind === 'insert-noise') {
    const { method, layers, epsilon } = operation.noise;
    return `Train with ${method}${epsilon === undefined ? '' : ` ${epsilon}`}${layers ? ` in ${layers.length} layers` : ''}`;
  }
  if (operation.kind === 'decompose')
    return `Block-term ${operation.layer}, rank ${operation.blockTerm.ranks.join(', ')}, ${operation.blockTerm.blocks} blocks`;
  const groups = operation.groups.filter(isOn);
  const removed = groups.reduce((n, g) => n + removedOf(g), 0);
  return `Prune ${removed} filters in ${groups.length} groups (${operation.criterion})`;
}

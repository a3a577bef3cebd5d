import * as vscode from 'vscode';
import { formatBytes, parseBytes } from '../engine/contract/format';
import type { MemoryPolicy, WorkspaceMode } from '../engine/contract/memory';

export interface MemorySettings {
  readonly policy: MemoryPolicy;
  /** Bytes; none when left out. */
  readonly budget?: number;
  readonly workspace?: WorkspaceMode;
}

/** What `scalpel.memoryBudget`, `scalpel.memoryPolicy` and `scalpel.memoryWorkspace` say for a file. */
export function memorySettings(uri: vscode.Uri): MemorySettings {
  const settings = vscode.workspace.getConfiguration('scalpel', uri);
  const policy = settings.get<MemoryPolicy>('memoryPolicy', 'auto');
  const text = settings.get<string>('memoryBudget', '').trim();
  const workspace = settings.get<WorkspaceMode>('memoryWorkspace', 'fixed');
  if (!text) return { policy, workspace };
  const budget = parseBytes(text);
  if (budget === undefined) throw new Error(`The setting scalpel.memoryBudget is “${text}”; it must be a size such as 512MiB, or empty`);
  return { policy, budget, workspace };
}

/** Tuning follows these from now on. */
export async function saveMemorySettings(uri: vscode.Uri, { policy, budget, workspace }: MemorySettings): Promise<void> {
  const settings = vscode.workspace.getConfiguration('scalpel', uri);
  const target = vscode.workspace.workspaceFolders ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
  await settings.update('memoryBudget', budget === undefined ? undefined : exactBytes(budget), target);
  await settings.update('memoryPolicy', policy, target);
  await settings.update('memoryWorkspace', workspace, target);
}

/** As it is shown, where that is exact. */
function exactBytes(bytes: number): string {
  const shown = formatBytes(bytes);
  return parseBytes(shown) === bytes ? shown : String(bytes);
}

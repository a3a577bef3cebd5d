import path from 'node:path';
import * as vscode from 'vscode';
import { ModelEditorProvider } from './modelEditor';

/** The data that the sample was trained on; the engine draws it. */
export const SAMPLE_DATA = 'generated:shapes?classes=10&size=32&seed=1';
const SAMPLE = 'shapes-resnet8.onnx';

export const isSample = (file: string): boolean => path.basename(file) === SAMPLE;

/** Copies the sample into the workspace (or the extension's storage without one) unless it is there, and opens it. */
export async function openSample(context: vscode.ExtensionContext): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? context.globalStorageUri;
  const target = vscode.Uri.joinPath(folder, SAMPLE);
  const exists = await vscode.workspace.fs.stat(target).then(
    () => true,
    () => false,
  );
  if (!exists) await vscode.workspace.fs.copy(vscode.Uri.joinPath(context.extensionUri, 'sample', SAMPLE), target);
  await vscode.commands.executeCommand('vscode.openWith', target, ModelEditorProvider.viewType);
}

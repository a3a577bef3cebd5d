import path from 'node:path';
import * as vscode from 'vscode';
import type { EngineClient } from './engineClient';
import { ModelEditorProvider } from './modelEditor';

/** Converts a Keras or tfjs model into an ONNX file beside it, and opens that. */
export async function convertToOnnx(engine: EngineClient, source: vscode.Uri | undefined): Promise<void> {
  const [file] = source
    ? [source]
    : ((await vscode.window.showOpenDialog({ title: 'Convert to ONNX', filters: { 'Keras or tfjs model': ['h5', 'hdf5', 'json'] } })) ??
      []);
  if (!file) return;
  const { dir, name } = path.parse(file.fsPath);
  const target = path.join(dir, `${name}.onnx`);
  const exists = await vscode.workspace.fs.stat(vscode.Uri.file(target)).then(
    () => true,
    () => false,
  );
  if (exists && (await vscode.window.showWarningMessage(`${target} exists.`, { modal: true }, 'Replace')) !== 'Replace') return;
  await engine.request('model/convert', { path: file.fsPath, output: target });
  await vscode.commands.executeCommand('vscode.openWith', vscode.Uri.file(target), ModelEditorProvider.viewType);
}

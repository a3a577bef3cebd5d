import path from 'node:path';
import * as vscode from 'vscode';
import type { MemoryFormat } from '../engine/contract/memory';
import type { MemoryChoice } from '../engine/contract/memoryPage';
import { errorsShown } from './commands';
import type { EngineClient } from './engineClient';
import { MemoryPages } from './memoryPage';
import { memorySettings } from './memorySettings';
import { showPaperMemory } from './paperMemory';
import type { ModelDocument } from './modelDocument';
import { ModelEditorProvider } from './modelEditor';
import type { Runs } from './runs';
import type { SourceModels } from './sourceModels';
import { TUNING_BATCH } from './tuning';

interface Parts {
  readonly extension: vscode.Uri;
  readonly engine: EngineClient;
  readonly editors: ModelEditorProvider;
  readonly sources: SourceModels;
  readonly runs: Runs;
}

/** Commands on the memory of a training step. */
export function registerMemoryCommands(parts: Parts): vscode.Disposable[] {
  const { engine, editors } = parts;
  const pages = new MemoryPages({ ...parts, exportTimeline: (model, choice, format) => exportTimeline(engine, model, choice, format) });
  const register = (name: string, action: (target?: unknown) => Promise<void>): vscode.Disposable =>
    vscode.commands.registerCommand(`scalpel.${name}`, errorsShown(action));
  const exportAs = (format: MemoryFormat) => async (): Promise<void> => {
    const model = await modelOf(editors);
    const choice: MemoryChoice = { batch: TUNING_BATCH, optimiser: 'sgd', ...memorySettings(model.uri) };
    const written = await exportTimeline(engine, model, choice, format);
    if (written) void vscode.window.showInformationMessage(`Wrote ${written}.`);
  };
  return [
    register('memory', async (target) => pages.show(await modelOf(editors, target))),
    register('paperMemory', () => showPaperMemory(engine)),
    register('exportMemoryJson', exportAs('json')),
    register('exportMemoryTrace', exportAs('trace')),
    register('exportMemorySnapshot', exportAs('snapshot')),
  ];
}

/** The model that a menu was opened on (an item of the models tree or the title of an editor), or the active one. */
async function modelOf(editors: ModelEditorProvider, target?: unknown): Promise<ModelDocument> {
  const uri = target instanceof vscode.Uri ? target : (target as { uri?: vscode.Uri } | undefined)?.uri;
  const find = (): ModelDocument | undefined => (uri ? editors.documents.find((d) => d.uri.toString() === uri.toString()) : editors.active);
  if (uri && !find()) await vscode.commands.executeCommand('vscode.openWith', uri, ModelEditorProvider.viewType);
  const model = find();
  if (!model) throw new Error('Open a model first (Scalpel: Open Sample Model, or any .onnx file)');
  return model;
}

const FORMATS: Readonly<Record<MemoryFormat, { readonly name: string; readonly suffix: string; readonly extension: string }>> = {
  json: { name: 'Memory report', suffix: 'memory', extension: 'json' },
  trace: { name: 'Chrome trace', suffix: 'memory-trace', extension: 'json' },
  snapshot: { name: 'PyTorch memory snapshot', suffix: 'memory', extension: 'pickle' },
};

/** Name of the file; undefined when no file was chosen. */
async function exportTimeline(
  engine: EngineClient,
  model: ModelDocument,
  choice: MemoryChoice,
  format: MemoryFormat,
): Promise<string | undefined> {
  const { dir, name } = path.parse(model.file);
  const { name: kind, suffix, extension } = FORMATS[format];
  const defaultUri = vscode.Uri.file(path.join(dir, `${name}.${suffix}.${extension}`));
  const target = await vscode.window.showSaveDialog({ title: `Export ${kind}`, defaultUri, filters: { [kind]: [extension] } });
  if (!target) return undefined;
  const { basePath, plan } = model;
  await engine.request('memory/export', { job: engine.newJob(), path: basePath, plan, ...choice, format, output: target.fsPath });
  return path.basename(target.fsPath);
}

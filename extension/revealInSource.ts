import * as vscode from 'vscode';
import type { ModelDocument } from './modelDocument';
import { sourceLanguage } from './source/networkReader';
import type { SourceLayer } from './source/sourceModel';
import type { SourceModels } from './sourceModels';

/** Files of the workspace that are read to find the source of a model. */
const MOST_FILES = 60;

/** Shows the call that makes a layer, or the nearest one before it that the source tells. */
export async function revealInSource(model: ModelDocument, layer: string, sources: SourceModels): Promise<void> {
  for (const document of await candidates()) {
    const bound = await sources.bind(document);
    if (bound?.model !== model) continue;
    const found = nearestLayer(model, layer, (name) => {
      const index = [...bound.match.layers].find(([, summary]) => summary.name === name)?.[0];
      return index === undefined ? undefined : bound.match.network.layers[index];
    });
    if (!found) continue;
    const { line, column } = found.call;
    const selection = new vscode.Range(line, column, line, column);
    await vscode.window.showTextDocument(document, { selection, preview: true });
    return;
  }
  throw new Error(`No source in this workspace defines layer ${layer}`);
}

/** An activation or a normalisation that the source does not name belongs to the layer before it. */
function nearestLayer(model: ModelDocument, layer: string, find: (name: string) => SourceLayer | undefined): SourceLayer | undefined {
  const names = model.originalSummary.layers.map((l) => l.name);
  for (let i = names.indexOf(layer); i >= 0; i--) {
    const found = find(names[i] ?? '');
    if (found) return found;
  }
  return undefined;
}

/** Open documents first, then files of the workspace. */
async function candidates(): Promise<vscode.TextDocument[]> {
  const open = vscode.workspace.textDocuments.filter((d) => sourceLanguage(d.languageId));
  const files = await vscode.workspace.findFiles('**/*.{py,ts,js,mjs}', '**/{node_modules,.venv,venv,dist}/**', MOST_FILES);
  const known = new Set(open.map((d) => d.uri.toString()));
  const others = files.filter((uri) => !known.has(uri.toString())).map((uri) => vscode.workspace.openTextDocument(uri));
  return [...open, ...(await Promise.all(others))];
}

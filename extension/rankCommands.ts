import * as vscode from 'vscode';
import { errorsShown } from './commands';
import type { EngineClient } from './engineClient';
import type { ModelDocument } from './modelDocument';
import { ModelEditorProvider } from './modelEditor';
import { RanksPages } from './ranksPage';
import type { RankResults } from './rankResults';
import type { Runs } from './runs';

interface Parts {
  readonly extension: vscode.Uri;
  readonly engine: EngineClient;
  readonly editors: ModelEditorProvider;
  readonly runs: Runs;
  readonly results: RankResults;
}

/** A layer in the tree of models. */
interface LayerItem {
  readonly uri: vscode.Uri;
  readonly layer: { readonly name: string };
}

/** "Choose Block-Term Ranks": of the active model, of the editor whose title was clicked, or of a layer in a tree, a page or a lens. */
export function registerRankCommands({ extension, engine, editors, runs, results }: Parts): vscode.Disposable[] {
  const pages = new RanksPages(extension, engine, runs, results);
  return [
    vscode.commands.registerCommand(
      'scalpel.ranks',
      errorsShown(async (target?: vscode.Uri | LayerItem, layer?: string) => {
        const uri = target instanceof vscode.Uri ? target : target?.uri;
        const named = target && !(target instanceof vscode.Uri) ? target.layer.name : layer;
        pages.show(await modelOf(editors, uri), typeof named === 'string' ? named : undefined);
      }),
    ),
  ];
}

async function modelOf(editors: ModelEditorProvider, uri?: vscode.Uri): Promise<ModelDocument> {
  if (!uri) {
    if (!editors.active) throw new Error('Open a model first (Scalpel: Open Sample Model, or any .onnx file)');
    return editors.active;
  }
  const find = (): ModelDocument | undefined => editors.documents.find((d) => d.uri.toString() === uri.toString());
  if (!find()) await vscode.commands.executeCommand('vscode.openWith', uri, ModelEditorProvider.viewType);
  const found = find();
  if (!found) throw new Error(`${uri.fsPath} could not be opened`);
  return found;
}

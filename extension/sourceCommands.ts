import path from 'node:path';
import * as vscode from 'vscode';
import { errorsShown } from './commands';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';
import type { BlockTermForm } from './source/blockTermConstructors';
import type { BlockTermSources } from './blockTermSources';
import { sourceLanguage } from './source/networkReader';
import { planEdits } from './source/planEdits';
import type { SourceModels } from './sourceModels';

/** Commands that bring the source of a network in step with its surgery. */
export function registerSourceCommands(
  editors: ModelEditorProvider,
  sources: SourceModels,
  blockTerms: BlockTermSources,
): vscode.Disposable[] {
  return [
    vscode.commands.registerCommand(
      'scalpel.applyPlanToSource',
      errorsShown(async (uri?: vscode.Uri) => {
        const document = await sourceDocument(sources, uri);
        if (document) await applyPlanToSource(document, sources, blockTerms);
      }),
    ),
    vscode.commands.registerCommand(
      'scalpel.revealLayer',
      errorsShown((uri: vscode.Uri, layer: string) => editors.revealLayer(uri, layer)),
    ),
  ];
}

const LANGUAGES = ['py', 'ts', 'tsx', 'js', 'mjs', 'jsx'];
const MOST_FILES = 300;

/** The file that is named or open; otherwise the one of the workspace that defines an open model, or one that is picked. */
async function sourceDocument(sources: SourceModels, uri?: vscode.Uri): Promise<vscode.TextDocument | undefined> {
  if (uri) return vscode.workspace.openTextDocument(uri);
  const active = vscode.window.activeTextEditor?.document;
  if (active && sourceLanguage(active.languageId)) return active;
  const found = await sourcesOfModels(sources);
  if (found.length > 1) {
    const items = found.map((document) => ({ label: vscode.workspace.asRelativePath(document.uri), document }));
    return (await vscode.window.showQuickPick(items, { placeHolder: 'Source of the network' }))?.document;
  }
  if (found[0]) return found[0];
  const picked = await vscode.window.showOpenDialog({
    title: 'Source of the network',
    filters: { 'Python, TypeScript, JavaScript': LANGUAGES },
  });
  return picked?.[0] && vscode.workspace.openTextDocument(picked[0]);
}

async function sourcesOfModels(sources: SourceModels): Promise<vscode.TextDocument[]> {
  const files = await vscode.workspace.findFiles(`**/*.{${LANGUAGES.join(',')}}`, '**/node_modules/**', MOST_FILES);
  const found: vscode.TextDocument[] = [];
  for (const file of files) {
    const document = await vscode.workspace.openTextDocument(file);
    if (await sources.bind(document)) found.push(document);
  }
  return found;
}

/** Shows the edits in the refactor preview; nothing changes before they are accepted there. */
async function applyPlanToSource(document: vscode.TextDocument, sources: SourceModels, blockTerms: BlockTermSources): Promise<void> {
  const [bound, read] = [await sources.bind(document), await sources.readerFor(document)];
  const file = path.basename(document.uri.fsPath);
  if (!bound || !read) throw new Error(`No open model has the layers of ${file}. Open the model that it defines first`);
  const { model, match } = bound;
  const forms = await blockTerms.formsOf(model);
  const template = blockTerms.templateFor(match.network.framework, document.languageId);
  const { originalSummary, summary } = model;
  const made = planEdits(document.getText(), read, { before: originalSummary, after: summary, forms, template });
  const { edits, changed } = made;
  const notes = [...made.notes, ...unwritten(model, forms)];
  if (edits.length === 0) {
    void vscode.window.showInformationMessage(`${file} already has the layers of ${path.basename(model.file)}.`);
    return;
  }
  const edit = previewedEdit(document.uri);
  const metadata = {
    needsConfirmation: false,
    label: `Surgery plan of ${path.basename(model.file)}`,
    description: [`${changed} ${changed === 1 ? 'layer changes' : 'layers change'}`, ...notes].join('; '),
  };
  for (const { start, end, text } of edits)
    edit.replace(document.uri, new vscode.Range(document.positionAt(start), document.positionAt(end)), text, metadata);
  const isApplied = await vscode.workspace.applyEdit(edit, { isRefactoring: true });
  if (isApplied && notes.length > 0) void vscode.window.showWarningMessage(`${file}: ${notes.join('; ')}`);
  if (isApplied && forms.length > 0) void offerWeights(file);
}

/**
 * An edit that VS Code shows in its refactor preview. Edits that need confirmation start unticked there, so that every line would have to be
 * ticked by hand; one that makes a file which exists already opens the preview without being listed, and the others start ticked.
 */
function previewedEdit(file: vscode.Uri): vscode.WorkspaceEdit {
  const edit = new vscode.WorkspaceEdit();
  edit.createFile(file, { ignoreIfExists: true }, { needsConfirmation: true, label: 'Preview' });
  return edit;
}

/** Hidden-to-hidden matrices in block-term form have no counterpart in the classes that are written. */
const unwritten = ({ operations }: ModelDocument, forms: readonly BlockTermForm[]): string[] =>
  operations.flatMap((o) =>
    o.kind === 'decompose' && o.enabled && !forms.some((f) => f.layer === o.layer)
      ? [`the block-term form of ${o.layer} cannot be written into source`]
      : [],
  );

async function offerWeights(file: string): Promise<void> {
  const save = 'Save Weights';
  const message = `The block-term layers of ${file} take their weights from a safetensors file.`;
  if ((await vscode.window.showInformationMessage(message, save)) === save) await vscode.commands.executeCommand('scalpel.saveWeights');
}

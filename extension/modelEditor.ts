import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { ModelPageContract } from '../engine/contract/page';
import type { Criterion } from '../engine/contract/models';
import type { EngineClient } from './engineClient';
import { ModelDocument, type DocumentBackup } from './modelDocument';
import { openModelPage } from './modelPage';
import type { Runs } from './runs';
import { SAMPLE_DATA, isSample } from './sample';
import type { WebviewPage } from './webviewPage';

/** The custom editor for .onnx files. The host owns the document; pages only show it. */
export class ModelEditorProvider implements vscode.CustomEditorProvider<ModelDocument>, vscode.Disposable {
  static readonly viewType = 'scalpel.model';
  private readonly changeEmitter = new vscode.EventEmitter<vscode.CustomDocumentEditEvent<ModelDocument>>();
  readonly onDidChangeCustomDocument = this.changeEmitter.event;
  private readonly documentsEmitter = new vscode.EventEmitter<void>();
  /** Documents were opened, closed or changed, or another one became active. */
  readonly onDidChangeDocuments = this.documentsEmitter.event;
  private readonly open = new Set<ModelDocument>();
  private readonly pages = new Map<ModelDocument, Set<WebviewPage<ModelPageContract>>>();
  private activeDocument: ModelDocument | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
  ) {}

  get documents(): readonly ModelDocument[] {
    return [...this.open];
  }

  get active(): ModelDocument | undefined {
    return this.activeDocument ?? (this.open.size === 1 ? [...this.open][0] : undefined);
  }

  async openCustomDocument(uri: vscode.Uri, { backupId }: vscode.CustomDocumentOpenContext): Promise<ModelDocument> {
    const backup = backupId ? (JSON.parse(await readFile(vscode.Uri.parse(backupId).fsPath, 'utf8')) as DocumentBackup) : undefined;
    const document = await ModelDocument.open(
      uri,
      this.engine,
      this.runs,
      path.join(this.context.globalStorageUri.fsPath, 'bases'),
      backup,
    );
    this.open.add(document);
    document.onDidEdit((edit) => this.changeEmitter.fire({ document, ...edit }));
    document.onDidChange(() => this.documentsEmitter.fire());
    document.onDidDispose(() => {
      this.open.delete(document);
      if (this.activeDocument === document) this.activeDocument = undefined;
      this.documentsEmitter.fire();
    });
    this.documentsEmitter.fire();
    return document;
  }

  resolveCustomEditor(document: ModelDocument, panel: vscode.WebviewPanel): void {
    const page = openModelPage(document, panel, {
      extension: this.context.extensionUri,
      engine: this.engine,
      runs: this.runs,
      computeImportance,
      data: dataFor(document),
    });
    const pages = this.pages.get(document) ?? new Set();
    this.pages.set(document, pages.add(page));
    const activate = (): void => {
      if (panel.active) this.activeDocument = document;
      this.documentsEmitter.fire();
    };
    activate();
    page.own(panel.onDidChangeViewState(activate));
    page.own({ dispose: () => pages.delete(page) });
  }

  /** Shows a layer in the model's page, which is opened where it is not. */
  async revealLayer(uri: vscode.Uri, layer: string): Promise<void> {
    await vscode.commands.executeCommand('vscode.openWith', uri, ModelEditorProvider.viewType);
    const document = this.documents.find((d) => d.uri.toString() === uri.toString());
    for (const page of document ? (this.pages.get(document) ?? []) : []) page.send('reveal', { layer });
  }

  async saveCustomDocument(document: ModelDocument): Promise<void> {
    await document.save();
  }

  async saveCustomDocumentAs(document: ModelDocument, destination: vscode.Uri): Promise<void> {
    await document.saveTo(destination.fsPath);
  }

  revertCustomDocument(document: ModelDocument): Promise<void> {
    return document.revert();
  }

  async backupCustomDocument(
    document: ModelDocument,
    { destination }: vscode.CustomDocumentBackupContext,
  ): Promise<vscode.CustomDocumentBackup> {
    await vscode.workspace.fs.createDirectory(vscode.Uri.joinPath(destination, '..'));
    const temporary = `${destination.fsPath}.tmp`;
    await writeFile(temporary, JSON.stringify(document.backup));
    await rename(temporary, destination.fsPath);
    return { id: destination.toString(), delete: () => void rm(destination.fsPath, { force: true }) };
  }

  dispose(): void {
    this.changeEmitter.dispose();
    this.documentsEmitter.dispose();
  }
}

/** Scores the document's filters as a job and shows them in its pages. */
export async function computeImportance(
  document: ModelDocument,
  engine: EngineClient,
  runs: Runs,
  criterion: Criterion,
  data: string,
  onJob: (job: string) => void = () => undefined,
): Promise<void> {
  const { basePath: file, plan } = document;
  const request = (job: string) => {
    onJob(job);
    return engine.request('model/importance', { job, path: file, plan, criterion, ...(data ? { data } : {}) });
  };
  const report = await runs.run(
    `Importance (${criterion})`,
    document.file,
    request,
    (r) => `${r.groups.reduce((n, g) => n + g.scores.length, 0)} filters scored`,
  );
  document.setImportance(report);
}

/** Where a model's data is: the workspace setting, or the generated shapes for the sample. */
export function dataFor(document: ModelDocument): string {
  const configured = vscode.workspace.getConfiguration('scalpel', document.uri).get<string>('data', '');
  return configured || (isSample(document.file) ? SAMPLE_DATA : '');
}

import { randomBytes } from 'node:crypto';
import { rm, writeFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { PruneOperation, SurgeryPlan } from '../engine/contract/plan';
import type { FromPage, KeptChannels, PageState, ToPage } from '../engine/contract/page';
import type { Criterion } from '../engine/contract/models';
import { type EngineClient, EngineError } from './engineClient';
import { ModelDocument } from './modelDocument';
import type { Runs } from './runs';
import { SAMPLE_DATA, isSample } from './sample';

/** The custom editor for .onnx files. The host owns the document; pages only show it. */
export class ModelEditorProvider implements vscode.CustomEditorProvider<ModelDocument>, vscode.Disposable {
  static readonly viewType = 'scalpel.model';
  private readonly changeEmitter = new vscode.EventEmitter<vscode.CustomDocumentEditEvent<ModelDocument>>();
  readonly onDidChangeCustomDocument = this.changeEmitter.event;
  private readonly documentsEmitter = new vscode.EventEmitter<void>();
  /** Documents were opened, closed or changed, or another one became active. */
  readonly onDidChangeDocuments = this.documentsEmitter.event;
  private readonly open = new Set<ModelDocument>();
  private readonly pages = new Map<ModelDocument, Set<ModelPage>>();
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
    const backup = backupId ? (JSON.parse(await readFile(vscode.Uri.parse(backupId).fsPath, 'utf8')) as SurgeryPlan) : undefined;
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
    const page = new ModelPage(document, panel, this.context.extensionUri, this.engine, this.runs);
    const pages = this.pages.get(document) ?? new Set();
    this.pages.set(document, pages.add(page));
    const activate = (): void => {
      if (panel.active) this.activeDocument = document;
      this.documentsEmitter.fire();
    };
    activate();
    panel.onDidChangeViewState(activate);
    panel.onDidDispose(() => {
      pages.delete(page);
      page.dispose();
    });
  }

  async saveCustomDocument(document: ModelDocument): Promise<void> {
    await document.saveTo(document.file);
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
    await writeFile(destination.fsPath, JSON.stringify(document.plan));
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

export function pruneOperation(document: ModelDocument, kept: KeptChannels, criterion: string, lossChange?: number): PruneOperation {
  const groups = kept.flatMap(({ group, keep }) => {
    const found = document.summary.groups.find((g) => g.id === group);
    return found ? [{ group, layers: found.layers, channels: found.channels, keep }] : [];
  });
  const effect = lossChange === undefined ? {} : { effect: { parameters: 0, macs: 0, lossChange } };
  return { kind: 'prune', id: `prune-${document.operations.length + 1}`, enabled: true, criterion, groups, ...effect };
}

/** One page of one document. */
class ModelPage implements vscode.Disposable {
  private readonly subscriptions: vscode.Disposable[];
  private job: string | undefined;
  private criterion: Criterion;
  private data: string;

  constructor(
    private readonly document: ModelDocument,
    private readonly panel: vscode.WebviewPanel,
    extension: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
  ) {
    const settings = vscode.workspace.getConfiguration('scalpel', document.uri);
    this.criterion = settings.get<Criterion>('criterion', 'gate-taylor');
    this.data = dataFor(document);
    const assets = vscode.Uri.joinPath(extension, 'dist', 'webview');
    panel.webview.options = { enableScripts: true, localResourceRoots: [assets] };
    panel.webview.html = pageHtml(panel.webview, assets);
    this.subscriptions = [
      panel.webview.onDidReceiveMessage((message: FromPage) => void this.receive(message)),
      document.onDidChange(() => this.sendState()),
      engine.onProgress(({ job, done, total, unit, message }) => {
        if (job === this.job)
          this.send({
            type: 'progress',
            message: `${message ?? 'Working'}: ${done} of ${total} ${unit}`,
            fraction: total > 0 ? done / total : 0,
          });
      }),
    ];
  }

  dispose(): void {
    this.subscriptions.forEach((s) => void s.dispose());
  }

  private async receive(message: FromPage): Promise<void> {
    try {
      await this.handle(message);
    } catch (error) {
      const cancelled = error instanceof EngineError && error.code === 'cancelled';
      this.send(cancelled ? { type: 'idle' } : { type: 'error', message: error instanceof Error ? error.message : String(error) });
    }
  }

  private async handle(message: FromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.sendState();
        return;
      case 'importance':
        return this.computeImportance(message.criterion, message.data);
      case 'preview': {
        const operations = [...this.document.operations, pruneOperation(this.document, message.kept, 'preview')];
        const totals = await this.engine.request('plan/totals', { path: this.document.basePath, plan: this.document.planWith(operations) });
        this.send({ type: 'totals', request: message.request, totals });
        return;
      }
      case 'apply':
        return this.document.edit('Prune filters', [
          ...this.document.operations,
          pruneOperation(this.document, message.kept, message.criterion, message.lossChange),
        ]);
      case 'cancel':
        if (this.job) this.engine.cancel(this.job);
    }
  }

  private async computeImportance(criterion: Criterion, data: string): Promise<void> {
    [this.criterion, this.data] = [criterion, data];
    try {
      await computeImportance(this.document, this.engine, this.runs, criterion, data, (job) => (this.job = job));
    } finally {
      this.job = undefined;
    }
  }

  private sendState(): void {
    const { document } = this;
    const state: PageState = {
      file: path.basename(document.file),
      summary: document.summary,
      original: document.originalTotals,
      operations: document.operations,
      data: this.data,
      criterion: this.criterion,
      ...(document.importance ? { importance: document.importance } : {}),
    };
    this.send({ type: 'state', state });
  }

  private send(message: ToPage): void {
    void this.panel.webview.postMessage(message);
  }
}

function pageHtml(webview: vscode.Webview, assets: vscode.Uri): string {
  const nonce = randomBytes(16).toString('base64');
  const uri = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(assets, name)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource} 'unsafe-inline'; script-src 'nonce-${nonce}'; font-src ${webview.cspSource}`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri('model.css')}">
<title>Model</title>
</head>
<body><main id="page" aria-busy="true"></main><script nonce="${nonce}" src="${uri('model.js')}"></script></body>
</html>`;
}

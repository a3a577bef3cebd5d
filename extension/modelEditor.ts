import { rm, writeFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { PruneOperation, SurgeryPlan } from '../engine/contract/plan';
import type { KeptChannels, ModelPageContract } from '../engine/contract/page';
import type { Criterion } from '../engine/contract/models';
import { type EngineClient, EngineError } from './engineClient';
import { ModelDocument } from './modelDocument';
import { toggleNoise } from './noisePlan';
import type { Runs } from './runs';
import { SAMPLE_DATA, isSample } from './sample';
import { WebviewPage } from './webviewPage';

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
    const page = openModelPage(document, panel, this.context.extensionUri, this.engine, this.runs);
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
function openModelPage(
  document: ModelDocument,
  panel: vscode.WebviewPanel,
  extension: vscode.Uri,
  engine: EngineClient,
  runs: Runs,
): WebviewPage<ModelPageContract> {
  const settings = vscode.workspace.getConfiguration('scalpel', document.uri);
  let criterion = settings.get<Criterion>('criterion', 'gate-taylor');
  let data = dataFor(document);
  let job: string | undefined;
  const page = new WebviewPage<ModelPageContract>(panel, {
    name: 'model',
    title: path.basename(document.file),
    extension,
    onReady: () => sendState(),
    handlers: {
      async importance(wanted) {
        ({ criterion, data } = wanted);
        try {
          await computeImportance(document, engine, runs, criterion, data, (id) => (job = id));
          return 'done';
        } catch (error) {
          if (error instanceof EngineError && error.code === 'cancelled') return 'cancelled';
          throw error;
        } finally {
          job = undefined;
        }
      },
      preview: ({ kept }) =>
        engine.request('plan/totals', {
          path: document.basePath,
          plan: document.planWith([...document.operations, pruneOperation(document, kept, 'preview')]),
        }),
      async apply({ kept, criterion: by, lossChange }) {
        await document.edit('Prune filters', [...document.operations, pruneOperation(document, kept, by, lossChange)]);
        return null;
      },
      async toggleNoise({ layer }) {
        await toggleNoise(document, layer);
        return null;
      },
      cancel() {
        if (job) engine.cancel(job);
        return null;
      },
    },
  });
  const sendState = (): void =>
    page.send('state', {
      file: path.basename(document.file),
      summary: document.summary,
      original: document.originalTotals,
      operations: document.operations,
      data,
      criterion,
      ...(document.importance ? { importance: document.importance } : {}),
    });
  page.own(document.onDidChange(sendState));
  page.own(
    engine.onProgress(({ job: id, done, total, unit, message }) => {
      if (id === job)
        page.send('progress', { message: `${message ?? 'Working'}: ${done} of ${total} ${unit}`, fraction: total > 0 ? done / total : 0 });
    }),
  );
  return page;
}

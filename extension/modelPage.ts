import path from 'node:path';
import * as vscode from 'vscode';
import type { Criterion } from '../engine/contract/models';
import type { KeptChannels, ModelPageContract } from '../engine/contract/page';
import type { PlanOperation, PruneOperation } from '../engine/contract/plan';
import type { SensitivityReport } from '../engine/contract/pruning';
import { type EngineClient, EngineError } from './engineClient';
import type { ModelDocument } from './modelDocument';
import { toggleNoise } from './noisePlan';
import type { Runs } from './runs';
import { type PageHandlers, WebviewPage } from './webviewPage';

export interface ModelPageParts {
  readonly extension: vscode.Uri;
  readonly engine: EngineClient;
  readonly runs: Runs;
  /** Where the labelled data is, to begin with. */
  readonly data: string;
  readonly computeImportance: (
    document: ModelDocument,
    engine: EngineClient,
    runs: Runs,
    criterion: Criterion,
    data: string,
    onJob: (job: string) => void,
  ) => Promise<void>;
}

/** Shows a document in a panel. */
export const openModelPage = (document: ModelDocument, panel: vscode.WebviewPanel, parts: ModelPageParts): WebviewPage<ModelPageContract> =>
  new ModelPage(document, panel, parts).page;

class ModelPage {
  readonly page: WebviewPage<ModelPageContract>;
  private criterion: Criterion;
  private data: string;
  private job: string | undefined;
  /** Holds for the operations that it was measured with. */
  private sensitivity: { readonly of: readonly PlanOperation[]; readonly report: SensitivityReport } | undefined;

  constructor(
    private readonly document: ModelDocument,
    panel: vscode.WebviewPanel,
    private readonly parts: ModelPageParts,
  ) {
    this.criterion = vscode.workspace.getConfiguration('scalpel', document.uri).get<Criterion>('criterion', 'gate-taylor');
    this.data = parts.data;
    this.page = new WebviewPage<ModelPageContract>(panel, {
      name: 'model',
      title: path.basename(document.file),
      extension: parts.extension,
      onReady: () => this.sendState(),
      handlers: this.handlers(),
    });
    this.page.own(document.onDidChange(() => this.sendState()));
    this.page.own(
      parts.engine.onProgress(({ job, done, total, unit, message }) => {
        if (job !== this.job) return;
        const text = `${message ?? 'Working'}: ${done} of ${total} ${unit}`;
        this.page.send('progress', { message: text, fraction: total > 0 ? done / total : 0 });
      }),
    );
  }

  private handlers(): PageHandlers<ModelPageContract> {
    const { document } = this;
    const { engine, runs, computeImportance } = this.parts;
    return {
      importance: (wanted) =>
        this.asJob(wanted, (onJob) => computeImportance(document, engine, runs, wanted.criterion, wanted.data, onJob)),
      sensitivity: (wanted) => this.asJob(wanted, (onJob) => this.measureSensitivity(onJob)),
      preview: ({ kept }) =>
        engine.request('plan/totals', {
          path: document.basePath,
          plan: document.planWith([...document.operations, pruneOperation(document, kept, 'preview')]),
        }),
      apply: async ({ kept, criterion, lossChange }) => {
        const operation = pruneOperation(document, kept, criterion);
        const operations = [...document.operations, operation];
        const { macs, parameters } = await engine.request('plan/totals', { path: document.basePath, plan: document.planWith(operations) });
        const effect = { macs, parameters, ...(lossChange === undefined ? {} : { lossChange }) };
        await document.edit('Prune filters', [...document.operations, { ...operation, effect }]);
        return null;
      },
      costCurve: () =>
        document.importance
          ? engine.request('plan/costCurve', { ...this.model, importance: document.importance, locked: document.lockedNow })
          : null,
      budget: async ({ budget }) => {
        if (!document.importance) return 0;
        const request = { ...this.model, importance: document.importance, budget, locked: document.lockedNow };
        const last = (await engine.request('plan/prune', request)).operations.at(-1);
        return last?.kind === 'prune' ? last.groups.reduce((n, g) => n + g.channels - g.keep.length, 0) : 0;
      },
      explain: ({ group }) => engine.request('model/explain', { ...this.model, group }),
      lock: ({ group, locked }) => {
        toggleLock(document, group, locked);
        return null;
      },
      tickTock: async () => {
        await vscode.commands.executeCommand('scalpel.tickTock');
        return null;
      },
      toggleNoise: async ({ layer }) => {
        await toggleNoise(document, layer);
        return null;
      },
      ranks: async ({ layer }) => {
        await vscode.commands.executeCommand('scalpel.ranks', document.uri, layer);
        return null;
      },
      cancel: () => {
        if (this.job) engine.cancel(this.job);
        return null;
      },
    };
  }

  private get model() {
    return { path: this.document.basePath, plan: this.document.plan };
  }

  private async asJob(
    { criterion, data }: { criterion: Criterion; data: string },
    work: (onJob: (job: string) => void) => Promise<void>,
  ): Promise<'done' | 'cancelled'> {
    [this.criterion, this.data] = [criterion, data];
    try {
      await work((job) => (this.job = job));
      return 'done';
    } catch (error) {
      if (error instanceof EngineError && error.code === 'cancelled') return 'cancelled';
      throw error;
    } finally {
      this.job = undefined;
    }
  }

  private async measureSensitivity(onJob: (job: string) => void): Promise<void> {
    const { document, criterion, data } = this;
    const { operations, importance } = document;
    const request = (job: string): Promise<SensitivityReport> => {
      onJob(job);
      return this.parts.engine.request('model/sensitivity', {
        job,
        ...this.model,
        criterion: importance?.criterion ?? criterion,
        data,
        importance,
      });
    };
    const describe = ({ groups, samples }: SensitivityReport): string => `${groups.length} groups on ${samples} held-out samples`;
    const report = await this.parts.runs.run('Sensitivity', document.file, request, describe);
    this.sensitivity = { of: operations, report };
    this.sendState();
  }

  private sendState(): void {
    const { document, sensitivity, data, criterion } = this;
    this.page.send('state', {
      file: path.basename(document.file),
      summary: document.summary,
      original: document.originalTotals,
      operations: document.operations,
      locked: document.lockedNow,
      data,
      criterion,
      ...(document.importance ? { importance: document.importance } : {}),
      ...(sensitivity?.of === document.operations ? { sensitivity: sensitivity.report } : {}),
    });
  }
}

/** A group is locked by its layers, whose names outlast cuts. */
function toggleLock(document: ModelDocument, group: string, isLocked: boolean): void {
  const found = document.summary.groups.find((g) => g.id === group);
  if (!found) return;
  const others = document.locked.filter((layer) => !found.layers.includes(layer));
  const label = `${isLocked ? 'Lock' : 'Unlock'} ${found.layers.join(', ')}`;
  document.setLocked(label, isLocked ? [...others, ...found.layers.slice(0, 1)] : others);
}

function pruneOperation(document: ModelDocument, kept: KeptChannels, criterion: string): PruneOperation {
  const groups = kept.flatMap(({ group, keep }) => {
    const found = document.summary.groups.find((g) => g.id === group);
    return found ? [{ group, layers: found.layers, channels: found.channels, keep }] : [];
  });
  return { kind: 'prune', id: freeId(document), enabled: true, criterion, groups };
}

/** An id that no operation has, also when earlier ones were removed. */
function freeId({ operations }: ModelDocument): string {
  let number = operations.length + 1;
  while (operations.some((o) => o.id === `prune-${number}`)) number++;
  return `prune-${number}`;
}

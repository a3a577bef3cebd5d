import path from 'node:path';
import * as vscode from 'vscode';
import type { MemoryFormat, MemoryReport, PolicyReport } from '../engine/contract/memory';
import type { MemoryChoice, MemoryPageContract, MemoryView } from '../engine/contract/memoryPage';
import { type EngineClient, EngineError } from './engineClient';
import { type MemorySettings, memorySettings, saveMemorySettings } from './memorySettings';
import { memorySteps } from './memorySteps';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';
import { revealInSource } from './revealInSource';
import type { Run, Runs } from './runs';
import type { SourceModels } from './sourceModels';
import { TUNING_BATCH } from './tuning';
import { WebviewPage } from './webviewPage';

/** Budgets whose cost is computed for each policy. */
const COST_POINTS = 9;

export interface MemoryPageParts {
  readonly extension: vscode.Uri;
  readonly engine: EngineClient;
  readonly editors: ModelEditorProvider;
  readonly sources: SourceModels;
  readonly runs: Runs;
  exportTimeline(model: ModelDocument, choice: MemoryChoice, format: MemoryFormat): Promise<string | undefined>;
}

/** The memory timelines of open models, one page each. */
export class MemoryPages {
  private readonly open = new Map<ModelDocument, MemoryPage>();

  constructor(private readonly parts: MemoryPageParts) {}

  /** Opens the page of a model or brings it to the front, with this budget if one is given. */
  show(model: ModelDocument, settings?: MemorySettings): void {
    const known = this.open.get(model);
    if (known) {
      known.reveal(settings);
      return;
    }
    const page = new MemoryPage(model, this.parts, settings ?? settingsOrNone(model.uri));
    this.open.set(model, page);
    page.onClosed(() => this.open.delete(model));
  }
}

/** A setting that is no size must not keep the page from opening; tuning names it. */
function settingsOrNone(uri: vscode.Uri): MemorySettings {
  try {
    return memorySettings(uri);
  } catch {
    return { policy: 'auto' };
  }
}

class MemoryPage {
  private readonly page: WebviewPage<MemoryPageContract>;
  private choice: MemoryChoice;
  private reports: { readonly view: number; readonly report: MemoryReport }[] = [];
  private views = 0;
  /** By request; a new one of its kind cancels the last. */
  private readonly jobs = new Map<string, string>();

  constructor(
    private readonly model: ModelDocument,
    private readonly parts: MemoryPageParts,
    settings: MemorySettings,
  ) {
    this.choice = { batch: TUNING_BATCH, optimiser: 'sgd', ...settings };
    this.page = WebviewPage.open<MemoryPageContract>({
      name: 'memory',
      title: `Memory: ${path.basename(model.file)}`,
      extension: parts.extension,
      onReady: () => this.sendState(),
      handlers: {
        plan: (choice) => this.plan(choice),
        costs: ({ batch, optimiser }) =>
          this.latest('costs', (job) =>
            parts.engine.request('memory/costs', { job, ...this.source, batch, optimiser, points: COST_POINTS }),
          ),
        alive: ({ view, step }) => this.reports.find((r) => r.view === view)?.report.timeline[step]?.alive ?? [],
        largestBatch: async (choice) =>
          (await this.latest('largestBatch', (job) => this.request(job, { ...choice, largestBatch: true })))?.largestBatch ?? null,
        reveal: async ({ layer, where }) => {
          if (where === 'model') await parts.editors.revealLayer(model.uri, layer);
          else await revealInSource(model, layer, parts.sources);
          return null;
        },
        export: async ({ choice, format }) => (await parts.exportTimeline(model, choice, format)) ?? null,
        useForTraining: async (choice) => {
          await saveMemorySettings(model.uri, choice);
          return null;
        },
      },
    });
    this.page.own(model.onDidChange(() => this.sendState()));
    this.page.own(model.onDidDispose(() => void this.page.panel.dispose()));
    this.page.own(new vscode.Disposable(() => this.cancelAll()));
    this.followTraining();
  }

  get onClosed(): vscode.Event<void> {
    return this.page.panel.onDidDispose;
  }

  reveal(settings?: MemorySettings): void {
    this.page.panel.reveal();
    if (!settings) return;
    const { batch, optimiser } = this.choice;
    this.choice = { batch, optimiser, ...settings };
    this.sendState();
  }

  /** Tells of every training that runs within planned memory. */
  private followTraining(): void {
    const { engine, runs } = this.parts;
    let shown: Run | undefined;
    const runOf = (job: string): Run | undefined => runs.running().find((r) => r.job === job);
    this.page.own(
      engine.onProgress(({ job, done, total, memory }) => {
        const run = memory && runOf(job);
        if (!run) return;
        shown = run;
        this.page.send('live', { title: run.title, step: done, total, memory });
      }),
    );
    this.page.own(
      engine.onPool(({ job, ...pool }) => {
        const run = runOf(job);
        if (run) this.page.send('livePool', { title: run.title, ...pool });
      }),
    );
    this.page.own(
      runs.onDidChangeTreeData(() => {
        if (!shown || shown.state === 'running') return;
        this.page.send('liveEnd', { title: shown.title, ...(shown.memory ? { memory: shown.memory } : {}) });
        shown = undefined;
      }),
    );
  }

  private sendState(): void {
    const { model } = this;
    this.page.send('state', {
      file: path.basename(model.file),
      hasSurgery: this.hasSurgery,
      choice: this.choice,
      layers: model.summary.layers.map((l) => l.name),
    });
  }

  private get hasSurgery(): boolean {
    return this.model.operations.some((o) => o.enabled && o.kind !== 'insert-noise');
  }

  private get source() {
    const { basePath, plan } = this.model;
    return { path: basePath, plan };
  }

  private request(job: string, options: MemoryChoice & { largestBatch?: boolean }): Promise<MemoryReport> {
    return this.parts.engine.request('model/memory', { job, ...this.source, ...options });
  }

  /** A budget that cannot be met gives the timeline at the floor, the nearest that there is. */
  private async plan(choice: MemoryChoice): Promise<MemoryView | null> {
    this.choice = choice;
    this.cancel('costs');
    const planned = await this.latest('plan', async (job) => {
      const report = await this.request(job, { ...choice, largestBatch: false });
      const before = this.hasSurgery ? await this.beforeSurgery(job, choice) : undefined;
      if (report.timeline.length > 0) return { report, timeline: report.timeline, before };
      const budget = report.policies.find((p) => p.policy === choice.policy)?.floorBytes;
      const { timeline } = await this.request(job, { ...choice, budget });
      return { report, timeline, before };
    });
    if (!planned) return null;
    const { timeline, report, before } = planned;
    const id = ++this.views;
    this.reports = [...this.reports.slice(-1), { view: id, report: { ...report, timeline } }];
    const { timeline: own, ...figures } = report;
    return { id, choice, report: figures, steps: memorySteps(timeline), before, isAtFloor: own.length === 0 };
  }

  private async beforeSurgery(job: string, choice: MemoryChoice): Promise<PolicyReport | undefined> {
    const request = { job, path: this.model.basePath, ...choice, largestBatch: false };
    const { policies } = await this.parts.engine.request('model/memory', request);
    return policies.find((p) => p.policy === choice.policy);
  }

  /** Null when a later request of the kind has cancelled this one. */
  private async latest<T>(kind: string, work: (job: string) => Promise<T>): Promise<T | null> {
    this.cancel(kind);
    const job = this.parts.engine.newJob();
    this.jobs.set(kind, job);
    try {
      const result = await work(job);
      return this.jobs.get(kind) === job ? result : null;
    } catch (error) {
      if (error instanceof EngineError && error.code === 'cancelled') return null;
      throw error;
    } finally {
      if (this.jobs.get(kind) === job) this.jobs.delete(kind);
    }
  }

  private cancel(kind: string): void {
    const job = this.jobs.get(kind);
    if (job) this.parts.engine.cancel(job);
  }

  private cancelAll(): void {
    for (const kind of [...this.jobs.keys()]) this.cancel(kind);
  }
}

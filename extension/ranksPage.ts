import path from 'node:path';
import * as vscode from 'vscode';
import type { LayerRanks, RankBudget } from '../engine/contract/decomposition';
import { formatRatio } from '../engine/contract/rankChoices';
import type { RanksPageContract } from '../engine/contract/ranksPage';
import { type EngineClient, EngineError } from './engineClient';
import type { ModelDocument } from './modelDocument';
import { dataFor } from './modelEditor';
import { type RankResults, planBefore } from './rankResults';
import type { Runs } from './runs';
import { WebviewPage } from './webviewPage';

type Wanted<M extends keyof RanksPageContract['requests']> = RanksPageContract['requests'][M]['params'];

/** One page on block-term ranks for each model; it is brought to the front when it is asked for again. */
export class RanksPages {
  private readonly open = new Map<ModelDocument, RanksPage>();

  constructor(
    private readonly extension: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
    private readonly results: RankResults,
  ) {}

  show(document: ModelDocument, layer?: string): void {
    const known = this.open.get(document);
    if (known) known.reveal(layer);
    else {
      const page = new RanksPage(document, this.extension, this.engine, this.runs, this.results, layer);
      this.open.set(document, page);
      page.page.own({ dispose: () => this.open.delete(document) });
    }
  }
}

class RanksPage {
  readonly page: WebviewPage<RanksPageContract>;
  private job: string | undefined;
  private batch = 1;
  private isClosed = false;
  /** Forms under one budget, and the operations that they were found for. */
  private found: { readonly plan: RankBudget['plan']; readonly operations: ModelDocument['operations'] } | undefined;

  constructor(
    private readonly document: ModelDocument,
    extension: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
    private readonly results: RankResults,
    private wanted: string | undefined,
  ) {
    this.page = WebviewPage.open<RanksPageContract>({
      name: 'ranks',
      title: `Ranks: ${path.basename(document.file)}`,
      extension,
      onReady: () => void this.sendState(),
      handlers: {
        ranks: (wish) => this.search(wish),
        cost: (wish) => this.cost(wish),
        fit: (wish) => this.fit(wish),
        apply: (wish) => this.apply(wish),
        remove: async ({ layer }) => {
          const others = document.operations.filter((o) => o.kind !== 'decompose' || o.layer !== layer);
          await document.edit(`Dense ${layer}`, others);
          return null;
        },
        budget: (wish) => this.budget(wish),
        applyBudget: () => this.applyBudget(),
        tune: async () => {
          await vscode.commands.executeCommand('scalpel.train');
          return null;
        },
        cancel: () => {
          if (this.job) engine.cancel(this.job);
          return null;
        },
      },
    });
    this.page.own(document.onDidChange(() => void this.sendState()));
    this.page.own(document.onDidDispose(() => void this.page.panel.dispose()));
    this.page.own(
      results.onDidChange((changed) => {
        if (changed === document) void this.sendState();
      }),
    );
    this.page.own({ dispose: () => (this.isClosed = true) });
    this.page.own(
      engine.onProgress(({ job, done, total, unit, message }) => {
        if (job === this.job)
          this.page.send('progress', { message: message ?? `${done} of ${total} ${unit}`, fraction: done / Math.max(1, total) });
      }),
    );
    this.page.own(
      engine.onPartialRanks(({ job, ranks }) => {
        if (job === this.job) this.page.send('partial', ranks);
      }),
    );
  }

  reveal(layer?: string): void {
    this.page.panel.reveal();
    if (layer !== undefined) this.page.send('reveal', { layer });
  }

  private async sendState(): Promise<void> {
    const { document, results } = this;
    try {
      const layers = await results.layers(document);
      if (this.isClosed) return;
      const { parameters, macs } = document.originalTotals;
      this.page.send('state', {
        file: path.basename(document.file),
        layers,
        totals: document.summary.totals,
        original: { parameters, macs },
        batch: this.batch,
        data: dataFor(document),
      });
      if (this.wanted !== undefined) this.page.send('reveal', { layer: this.wanted });
      this.wanted = undefined;
    } catch (error) {
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    }
  }

  /** Layers are done one after another, so that each can be looked at while the next is worked on. */
  private async search({ layer, batch }: Wanted<'ranks'>): Promise<'done' | 'cancelled'> {
    const { document, results } = this;
    this.batch = batch;
    const missing = (await results.layers(document)).filter((l) => l.ranks?.batch !== batch);
    const names = layer === undefined ? missing.map((l) => l.layer) : [layer];
    for (const name of names) {
      const found = await this.orCancelled(() => this.searchLayer(name, batch));
      if (!found) return 'cancelled';
      results.set(document, found);
    }
    return 'done';
  }

  private async searchLayer(layer: string, batch: number): Promise<LayerRanks | undefined> {
    const { layers } = await this.run(
      `Ranks of ${layer}`,
      (job) => this.engine.request('model/ranks', { job, ...this.weightOf(layer), layer, batch }),
      (found) => `${found.layers[0]?.candidates.length ?? 0} candidates`,
    );
    return layers[0];
  }

  private async cost({ layer, choice }: Wanted<'cost'>): Promise<RanksPageContract['requests']['cost']['result']> {
    try {
      return { cost: await this.engine.request('ranks/cost', { ...this.weightOf(layer), layer, choice, batch: this.batch }) };
    } catch (error) {
      if (error instanceof EngineError && error.code === 'option-invalid') return { problem: error.message };
      throw error;
    }
  }

  private async fit({ layer, choice }: Wanted<'fit'>): Promise<RanksPageContract['requests']['fit']['result']> {
    const fitted = await this.orCancelled(() =>
      this.run(
        `Fit ${layer}`,
        (job) => this.engine.request('ranks/fit', { job, ...this.weightOf(layer), layer, choice, batch: this.batch }),
        ({ error }) => `relative error ${error.toPrecision(3)}`,
      ),
    );
    if (fitted) this.results.add(this.document, layer, fitted);
    return fitted ?? null;
  }

  private async apply({ layer, choice }: Wanted<'apply'>): Promise<'done' | 'cancelled'> {
    const { document, batch } = this;
    const request = { path: document.basePath, plan: document.plan, layer, choice, batch };
    const planned = await this.orCancelled(() =>
      this.run(
        `Block-Term ${layer}`,
        (job) => this.engine.request('plan/decompose', { job, ...request }),
        ({ error }) => `relative error ${error.toPrecision(3)}`,
      ),
    );
    if (!planned) return 'cancelled';
    await document.edit(`Block-Term ${layer}`, planned.plan.operations);
    this.results.setError(document, layer, planned.error);
    void this.offerTuning(layer);
    return 'done';
  }

  private async budget({ data, unit, kept }: Wanted<'budget'>): Promise<RanksPageContract['requests']['budget']['result']> {
    const { document, batch } = this;
    const { operations } = document;
    const plan = document.planWith(operations.filter((o) => o.kind !== 'decompose'));
    const found = await this.orCancelled(() =>
      this.run(
        `Block-Term forms, ${Math.round(100 * kept)} % of the ${unit === 'params' ? 'parameters' : 'MACs'}`,
        (job) => this.engine.request('model/rankBudget', { job, path: document.basePath, plan, data, [unit]: kept, batch }),
        ({ layers, after }) => `${layers.length} layers, accuracy ${(100 * after.accuracy).toFixed(1)} %`,
      ),
    );
    if (!found) return null;
    this.found = { plan: found.plan, operations };
    const { layers, lossChange, before, after } = found;
    return { layers, lossChange, before, after };
  }

  private async applyBudget(): Promise<null> {
    const { document, found } = this;
    if (!found || found.operations !== document.operations)
      throw new Error('The plan has changed since these forms were found. Find forms again.');
    await document.edit('Block-Term Forms under One Budget', found.plan.operations);
    this.found = undefined;
    void this.offerTuning('The network');
    return null;
  }

  private async offerTuning(subject: string): Promise<void> {
    const { parameters } = this.document.summary.totals;
    const ratio = this.document.originalTotals.parameters / Math.max(1, parameters);
    const tune = 'Tune with Data';
    const message = `${subject} is in block-term form; the model has ${formatRatio(ratio)} times fewer parameters than the file it was opened from. Tuning repairs what the change of the weight did.`;
    if ((await vscode.window.showInformationMessage(message, tune)) === tune) await vscode.commands.executeCommand('scalpel.train');
  }

  private weightOf(layer: string): { path: string; plan: ReturnType<typeof planBefore> } {
    return { path: this.document.basePath, plan: planBefore(this.document, layer) };
  }

  private async run<T>(title: string, work: (job: string) => Promise<T>, describe: (result: T) => string): Promise<T> {
    const request = (job: string): Promise<T> => {
      this.job = job;
      return work(job);
    };
    try {
      return await this.runs.run(title, this.document.file, request, describe);
    } finally {
      this.job = undefined;
    }
  }

  private async orCancelled<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof EngineError && error.code === 'cancelled') return undefined;
      throw error;
    }
  }
}

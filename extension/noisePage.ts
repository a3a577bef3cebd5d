import path from 'node:path';
import * as vscode from 'vscode';
import type { NoiseOptions } from '../engine/contract/noise';
import type { NoisePageContract, RobustnessCurve } from '../engine/contract/noisePage';
import { type EngineClient, EngineError } from './engineClient';
import type { ModelDocument } from './modelDocument';
import { dataFor } from './modelEditor';
import { planNoise, plannedNoise } from './noisePlan';
import type { Runs } from './runs';
import { tuningMemory } from './tuningMemory';
import { WebviewPage } from './webviewPage';

const STEPS = 10;
const BATCH = 64;
const RATE = 0.03;

/** Opens the page on noise and robustness of a model. */
export function openNoisePage(document: ModelDocument, extension: vscode.Uri, engine: EngineClient, runs: Runs): void {
  new NoisePage(document, extension, engine, runs);
}

class NoisePage {
  private readonly page: WebviewPage<NoisePageContract>;
  private readonly trained = new Map<string, string>();
  private job: string | undefined;

  constructor(
    private readonly document: ModelDocument,
    extension: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
  ) {
    this.page = WebviewPage.open<NoisePageContract>({
      name: 'noise',
      title: `Robustness: ${path.basename(document.file)}`,
      extension,
      onReady: () => this.sendState(),
      handlers: {
        plan: async ({ noise }) => {
          await planNoise(document, noise ?? undefined);
          return null;
        },
        train: (wanted) => this.orCancelled(() => this.train(wanted)),
        attack: (wanted) => this.orCancelled(() => this.attack(wanted)),
        features: (wanted) => this.features(wanted),
        cancel: () => {
          if (this.job) engine.cancel(this.job);
          return null;
        },
      },
    });
    this.page.own(document.onDidChange(() => this.sendState()));
    this.page.own(
      engine.onProgress(({ job, done, total, unit, message, noise }) => {
        if (job !== this.job) return;
        if (noise) this.page.send('step', { step: done, total, loss: Number(message?.replace('loss ', '')), noise });
        else
          this.page.send('progress', {
            message: `${message ?? ''} ${done} of ${total} ${unit}`.trim(),
            fraction: done / Math.max(1, total),
          });
      }),
    );
  }

  private sendState(): void {
    const { document } = this;
    const automatic = new Set(document.summary.noiseLayers);
    const outputs = new Set(document.summary.outputs.map((o) => o.name));
    this.page.send('state', {
      file: path.basename(document.file),
      layers: document.summary.layers
        .filter(
          ({ name, op, outputShape }) => automatic.has(name) || (CAN_TAKE_NOISE.has(op) && outputShape.length > 1 && !outputs.has(name)),
        )
        .map(({ name, op }) => ({ name, op, isAutomatic: automatic.has(name) })),
      planned: plannedNoise(document),
      data: dataFor(document),
      hasSurgery: this.hasSurgery,
      trained: [...this.trained.keys()],
    });
  }

  private get hasSurgery(): boolean {
    return this.document.operations.some((o) => o.enabled && o.kind !== 'insert-noise');
  }

  /** A copy beside the model; its name tells the noise. */
  private async train({
    noise,
    data,
    epochs,
  }: {
    noise: NoiseOptions;
    data: string;
    epochs: number;
  }): Promise<{ name: string; accuracy: number } | null> {
    const memory = await tuningMemory(this.document, this.engine, { batch: BATCH, layout: 'portable' });
    if (!memory) return null;
    const { dir, name } = path.parse(this.document.file);
    const output = path.join(dir, `${name}-${noise.method}.onnx`);
    await this.document.saveTo(output);
    const result = await this.run(`Tune with ${noise.method}`, (job) =>
      this.engine.request('model/train', { job, path: output, output, data, epochs, batch: BATCH, learningRate: RATE, noise, ...memory }),
    );
    this.trained.set(path.basename(output), output);
    this.sendState();
    return { name: path.basename(output), accuracy: result.epochs.at(-1)?.accuracy ?? NaN };
  }

  private async attack({
    data,
    attack,
    norm,
    epsilons,
    samples,
  }: NoisePageContract['requests']['attack']['params']): Promise<readonly RobustnessCurve[]> {
    const { document } = this;
    const networks = [
      { name: this.hasSurgery ? 'before surgery' : path.basename(document.file), path: document.basePath },
      ...(this.hasSurgery ? [{ name: 'after surgery', path: document.basePath, plan: document.plan }] : []),
      ...[...this.trained].map(([name, file]) => ({ name, path: file })),
    ];
    const curves: RobustnessCurve[] = [];
    for (const { name, ...model } of networks) {
      const options = { data, attacks: [attack], norm, epsilons, steps: STEPS, limit: samples };
      const report = await this.run(`Attack ${name}`, (job) => this.engine.request('model/robustness', { job, ...model, ...options }));
      curves.push({ name, report });
    }
    return curves;
  }

  private async features(
    wanted: NoisePageContract['requests']['features']['params'],
  ): Promise<NoisePageContract['requests']['features']['result']> {
    const { document } = this;
    const own = { name: path.basename(document.file), path: document.basePath, plan: document.plan };
    const last = [...this.trained].at(-1);
    const models = [own, ...(last ? [{ name: last[0], path: last[1] }] : [])];
    return Promise.all(
      models.map(async ({ name, ...model }) => ({ name, maps: await this.engine.request('noise/featureMaps', { ...model, ...wanted }) })),
    );
  }

  private async run<T>(title: string, work: (job: string) => Promise<T>): Promise<T> {
    const request = (job: string): Promise<T> => {
      this.job = job;
      return work(job);
    };
    try {
      return await this.runs.run(title, this.document.file, request, () => 'done');
    } finally {
      this.job = undefined;
    }
  }

  private async orCancelled<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof EngineError && error.code === 'cancelled') return null;
      throw error;
    }
  }
}

/** Operators whose outputs are offered besides those that are chosen by themselves. */
const CAN_TAKE_NOISE = new Set(['Conv', 'BatchNormalization', 'Gemm', 'Add', 'Relu', 'Concat']);

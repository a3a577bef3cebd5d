import path from 'node:path';
import * as vscode from 'vscode';
import type { ModelSummary } from '../engine/contract/models';
import type { LayerComparison, TickTockForm, TickTockPageContract } from '../engine/contract/tickTockPage';
import type { TickTockSettings } from '../engine/contract/tickTock';
import type { EngineClient } from './engineClient';
import { errorsShown } from './commands';
import type { ModelDocument } from './modelDocument';
import { ModelEditorProvider, dataFor } from './modelEditor';
import { plannedNoise } from './noisePlan';
import { startFile } from './runRecord';
import type { Run, Runs } from './runs';
import { type TickTockRun, TickTockRuns } from './tickTockRuns';
import { WebviewPage } from './webviewPage';

/** The Tick-Tock page, the runs behind it, and those that an earlier session left. */
export function registerTickTock(
  context: vscode.ExtensionContext,
  editors: ModelEditorProvider,
  engine: EngineClient,
  runs: Runs,
): Pick<vscode.Disposable, 'dispose'>[] {
  const pages = new Map<string, TickTockPage>();
  const show = (document: ModelDocument, run?: TickTockRun): void => {
    const known = pages.get(document.file);
    if (known) return known.reveal(run);
    const page = new TickTockPage(document, context.extensionUri, engine, all, run);
    pages.set(document.file, page);
    page.onClose(() => pages.delete(document.file));
  };
  const all = new TickTockRuns(engine, runs, async (run) => show(await openModel(editors, run.file), run));
  const folders = new Set<string>();
  const command = (name: string, action: (...args: never[]) => unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`scalpel.${name}`, errorsShown(action));
  void runs.restore((run) => all.restored(run)).then(() => all.findInterrupted());
  return [
    all,
    command('tickTock', () => {
      if (!editors.active) throw new Error('Open a model first (Scalpel: Open Sample Model, or any .onnx file)');
      show(editors.active);
    }),
    command('openRun', (run: Run) => run.actions.open?.()),
    command('resumeRun', (run: Run) => run.actions.resume?.()),
    command('discardRun', (run: Run) => run.actions.discard?.()),
    command('openRunResult', (run: Run) => openFile(run.file)),
    command('forgetRun', (run: Run) => runs.forget(run)),
    editors.onDidChangeDocuments(() => {
      for (const { file } of editors.documents) {
        const folder = path.dirname(file);
        if (folders.has(folder)) continue;
        folders.add(folder);
        void all.findInterrupted(folder);
      }
    }),
  ];
}

async function openModel(editors: ModelEditorProvider, file: string): Promise<ModelDocument> {
  const isOpen = (): ModelDocument | undefined => editors.documents.find((d) => d.file === file);
  if (!isOpen()) await vscode.commands.executeCommand('vscode.openWith', vscode.Uri.file(file), ModelEditorProvider.viewType);
  const document = isOpen();
  if (!document) throw new Error(`${file} could not be opened`);
  return document;
}

class TickTockPage {
  private readonly page: WebviewPage<TickTockPageContract>;
  private readonly defaults: Promise<{ settings: TickTockSettings; text: string }>;
  private form: TickTockForm | undefined;
  private run: TickTockRun | undefined;
  private listening = vscode.Disposable.from();

  constructor(
    private readonly document: ModelDocument,
    extension: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly all: TickTockRuns,
    run = all.of(document.file),
  ) {
    this.defaults = engine.request('tickTock/settings', {});
    this.defaults.catch(() => undefined);
    this.page = WebviewPage.open<TickTockPageContract>({
      name: 'tickTock',
      title: `Tick-Tock: ${path.basename(document.file)}`,
      extension,
      onReady: () => void errorsShown(() => this.sendState())(),
      handlers: {
        start: (form) => this.start(form),
        stop: () => this.onRun((run) => run.stop()),
        pause: () => this.onRun((run) => run.pause()),
        resume: () => this.onRun((run) => this.begin(run)),
        discard: () => this.onRun((run) => run.discard()),
        chooseSettings: () => this.chooseSettings(),
        writeSettings: () => this.writeSettings(),
        open: ({ snapshot }) => this.onRun((run) => openFile(snapshot ?? run.output)),
        compare: () => this.compare(),
        applyToSource: () =>
          this.onRun(async (run) => {
            await openFile(run.output);
            await vscode.commands.executeCommand('scalpel.applyPlanToSource');
          }),
      },
    });
    this.page.own(document.onDidChange(() => void this.sendState()));
    this.page.own({ dispose: () => void this.listening.dispose() });
    if (run) this.follow(run);
  }

  /** Brings the page to the front, with a run of this model on it. */
  reveal(run?: TickTockRun): void {
    this.page.panel.reveal();
    if (!run || run === this.run) return;
    this.follow(run);
    void this.sendState();
  }

  onClose(listener: () => void): void {
    this.page.own({ dispose: listener });
  }

  private follow(run: TickTockRun): void {
    this.run = run;
    void this.listening.dispose();
    this.listening = vscode.Disposable.from(
      run.onDidChange(() => void this.sendState()),
      run.onProgress((progress) => this.page.send('progress', progress)),
    );
  }

  private async sendState(): Promise<void> {
    const { document, run } = this;
    this.page.send('state', {
      file: path.basename(document.file),
      whole: run?.whole ?? wholeOf(document.summary),
      form: this.form ?? (run && formOf(run)) ?? (await this.suggestion()),
      paper: (await this.defaults).settings,
      locked: document.lockedNow,
      hasSurgery: document.hasSurgery,
      ...(run ? { run: run.state } : {}),
    });
  }

  private async suggestion(): Promise<TickTockForm> {
    const { name } = path.parse(this.document.file);
    const noise = plannedNoise(this.document);
    return {
      data: dataFor(this.document),
      output: `${name}-pruned.onnx`,
      budget: { flops: 0.5 },
      settings: (await this.defaults).settings,
      keepTicks: true,
      ...(noise ? { noise } : {}),
    };
  }

  private async start(form: TickTockForm): Promise<null> {
    const { document } = this;
    const { dir, name } = path.parse(document.file);
    const output = path.join(dir, checkedName(form.output));
    if (output === document.file) throw new Error(`Output: ${form.output} is the model itself; a run writes a file of its own`);
    const start = document.hasSurgery ? startFile(output) : document.basePath;
    if (document.hasSurgery) await document.saveTo(start);
    this.form = form;
    const run = this.all.create({
      version: 1,
      file: document.file,
      start,
      whole: wholeOf(document.summary),
      points: [],
      options: {
        ...form.budget,
        data: form.data,
        output,
        config: form.settings,
        locked: document.lockedNow,
        planFile: path.join(dir, `${path.parse(output).name}.plan.json`),
        ...(form.teacher ? { teacher: path.resolve(dir, form.teacher) } : {}),
        ...(form.noise ? { noise: form.noise } : {}),
        ...(form.keepTicks ? { snapshots: path.join(dir, `${path.parse(output).name || name}-ticks`) } : {}),
      },
    });
    this.follow(run);
    return this.begin(run);
  }

  /** The run goes on by itself; what ends it is told by its state. */
  private begin(run: TickTockRun): null {
    if (this.run !== run) this.follow(run);
    void run.run();
    return null;
  }

  private async onRun(action: (run: TickTockRun) => unknown): Promise<null> {
    if (!this.run) throw new Error('There is no run yet');
    await action(this.run);
    return null;
  }

  private async chooseSettings(): Promise<{ name: string; settings: TickTockSettings } | null> {
    const [picked] =
      (await vscode.window.showOpenDialog({ title: 'Settings of Tick-Tock', filters: { Settings: ['json', 'jsonc'] } })) ?? [];
    if (!picked) return null;
    const { settings } = await this.engine.request('tickTock/settings', { file: picked.fsPath });
    return { name: path.basename(picked.fsPath), settings };
  }

  private async writeSettings(): Promise<null> {
    const { text } = await this.defaults;
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'jsonc', content: text }));
    return null;
  }

  private async compare(): Promise<readonly LayerComparison[]> {
    const { run } = this;
    if (!run) return [];
    const before = this.document.basePath === run.start ? this.document.originalSummary : this.document.summary;
    const after = await this.engine.request('model/inspect', { path: run.output });
    const now = new Map(after.layers.map((l) => [l.name, l]));
    return before.layers.flatMap((layer): LayerComparison[] => {
      const other = now.get(layer.name);
      if (!other?.features || !layer.features) return [];
      return [
        {
          layer: layer.name,
          op: layer.op,
          channels: [layer.features.outputs, other.features.outputs],
          macs: [layer.macs, other.macs],
          parameters: [layer.parameters, other.parameters],
        },
      ];
    });
  }
}

const openFile = (file: string): Thenable<unknown> => vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));

const wholeOf = ({ totals, groups }: ModelSummary) => ({
  macs: totals.macs,
  parameters: totals.parameters,
  filters: groups.reduce((n, g) => n + g.channels * g.layers.length, 0),
});

/** What a run of an earlier session was started with. */
function formOf({ options, output }: TickTockRun): TickTockForm {
  const { data, flops, params, filters, latency, config, noise, snapshots, teacher } = options;
  return {
    data,
    output: path.basename(output),
    budget: { flops, params, filters, latency },
    settings: config ?? {},
    keepTicks: snapshots !== undefined,
    ...(teacher ? { teacher: path.relative(path.dirname(output), teacher) } : {}),
    ...(noise ? { noise } : {}),
  };
}

function checkedName(name: string): string {
  if (!/^[^/\\]+$/.test(name)) throw new Error(`Output: “${name}” is not the name of a file beside the model`);
  return name.toLowerCase().endsWith('.onnx') ? name : `${name}.onnx`;
}

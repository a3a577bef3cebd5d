import * as vscode from 'vscode';
import { BlockTermSources } from './blockTermSources';
import { LayerLenses } from './codeLenses';
import { registerCommands } from './commands';
import { engineEnvironment, registerDeviceCommands } from './deviceCommands';
import { EngineClient } from './engineClient';
import { registerEngineTree } from './engineTree';
import { registerKernelCommands } from './kernelCommands';
import { registerMemoryCommands } from './memoryCommands';
import { ModelEditorProvider } from './modelEditor';
import { registerModelTools } from './modelTools';
import { ModelsTree } from './modelsTree';
import { PlanTree } from './planTree';
import { registerRankCommands } from './rankCommands';
import { RankResults } from './rankResults';
import { RunHistory } from './runHistory';
import { Runs } from './runs';
import { registerSourceCommands } from './sourceCommands';
import { SourceModels } from './sourceModels';
import { registerTickTock } from './tickTockPage';

export function activate(context: vscode.ExtensionContext): void {
  const dist = vscode.Uri.joinPath(context.extensionUri, 'dist').fsPath;
  const output = vscode.window.createOutputChannel('Scalpel', { log: true });
  const engine = new EngineClient(vscode.Uri.joinPath(context.extensionUri, 'dist', 'engine.js').fsPath, output, () =>
    engineEnvironment(context),
  );
  const history = new RunHistory(vscode.Uri.joinPath(context.storageUri ?? context.globalStorageUri, 'runs.json').fsPath);
  const runs = new Runs(engine, history);
  const editors = new ModelEditorProvider(context, engine, runs);
  const models = new ModelsTree(engine);
  const ranks = new RankResults(engine);
  const plan = new PlanTree(editors, engine);
  const sources = new SourceModels(dist, editors);
  const lenses = new LayerLenses(editors, sources, ranks);
  const stopped = engine.onStopped(
    (reason) =>
      void vscode.window.showWarningMessage(`Scalpel's engine stopped (${reason}). It starts again with the next step; your plan is safe.`),
  );
  context.subscriptions.push(
    output,
    engine,
    runs,
    editors,
    models,
    ranks,
    plan,
    lenses,
    stopped,
    vscode.window.registerCustomEditorProvider(ModelEditorProvider.viewType, editors, {
      supportsMultipleEditorsPerDocument: true,
      webviewOptions: { retainContextWhenHidden: true },
    }),
    vscode.window.registerTreeDataProvider('scalpel.models', models),
    vscode.window.registerTreeDataProvider('scalpel.runs', runs),
    registerEngineTree(engine, runs),
    vscode.languages.registerCodeLensProvider(['python', 'typescript', 'typescriptreact', 'javascript', 'javascriptreact'], lenses),
    statusItem(editors, runs, engine),
    ...registerDeviceCommands(context, engine, runs),
    ...registerKernelCommands(engine, runs),
    ...registerRankCommands({ extension: context.extensionUri, engine, editors, runs, results: ranks }),
    ...registerSourceCommands(editors, sources, new BlockTermSources(dist, engine, ranks)),
    ...registerModelTools(engine, editors),
    ...registerTickTock(context, editors, engine, runs),
    ...registerMemoryCommands({ extension: context.extensionUri, engine, editors, sources, runs }),
    ...registerCommands({ context, engine, editors, plan, runs }),
  );
}

/** What the engine does, in the status bar; a click shows the runs. */
function statusItem(editors: ModelEditorProvider, runs: Runs, engine: EngineClient): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('scalpel.status', vscode.StatusBarAlignment.Left);
  item.name = 'Scalpel';
  item.command = 'scalpel.runs.focus';
  const update = (): void => {
    const run = runs.running()[0];
    item.text = run ? `$(sync~spin) ${run.title} ${Math.round(100 * run.fraction)} %` : '$(circuit-board) Scalpel';
    item.tooltip = run?.detail;
    if (run || editors.documents.length > 0) item.show();
    else item.hide();
  };
  const subscriptions = [runs.onDidChangeTreeData(update), editors.onDidChangeDocuments(update), engine.onProgress(update)];
  return vscode.Disposable.from(item, ...subscriptions);
}

import path from 'node:path';
import * as vscode from 'vscode';
import type { Criterion } from '../engine/contract/models';
import { convertToOnnx } from './convert';
import type { EngineClient } from './engineClient';
import { formatBytes, formatCount, formatPercent } from '../engine/contract/format';
import type { ModelDocument } from './modelDocument';
import { type ModelEditorProvider, computeImportance, dataFor } from './modelEditor';
import { openNoisePage } from './noisePage';
import { plannedNoise } from './noisePlan';
import type { OperationNode, PlanTree } from './planTree';
import type { Run, Runs } from './runs';
import { openSample } from './sample';
import { TUNING_BATCH } from './tuning';
import { memoryResults, tuningMemory } from './tuningMemory';

interface Parts {
  readonly context: vscode.ExtensionContext;
  readonly engine: EngineClient;
  readonly editors: ModelEditorProvider;
  readonly plan: PlanTree;
  readonly runs: Runs;
}

/** A command whose failure is shown in one sentence. */
export function errorsShown<A extends unknown[]>(action: (...args: A) => unknown): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args);
    } catch (error) {
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    }
  };
}

/** Registers every command of the palette. A failure is shown in one sentence. */
export function registerCommands(parts: Parts): vscode.Disposable[] {
  const { context, engine, editors, plan, runs } = parts;
  const command = (name: string, action: (...args: never[]) => unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`scalpel.${name}`, errorsShown(action));
  const onModel = (name: string, action: (model: ModelDocument) => Promise<unknown>): vscode.Disposable =>
    command(name, async () => {
      const model = editors.active;
      if (!model) throw new Error('Open a model first (Scalpel: Open Sample Model, or any .onnx file)');
      await action(model);
    });
  return [
    command('openSample', () => openSample(context)),
    command('walkthrough', () =>
      vscode.commands.executeCommand('workbench.action.openWalkthrough', `${context.extension.id}#start`, false),
    ),
    onModel('computeImportance', (model) => importance(parts, model)),
    onModel('pruneToBudget', (model) => pruneToBudget(parts, model)),
    onModel('evaluate', (model) => evaluate(parts, model)),
    onModel('measure', (model) => measure(parts, model)),
    onModel('train', (model) => train(parts, model)),
    onModel('savePlan', savePlan),
    onModel('saveWeights', (model) => saveWeights(parts, model)),
    onModel('robustness', (model) => {
      openNoisePage(model, context.extensionUri, engine, runs);
      return Promise.resolve();
    }),
    command('convert', (source?: vscode.Uri) => convertToOnnx(engine, source)),
    command('removeOperation', ({ operation }: OperationNode) => plan.remove(operation.id)),
    command('cancelRun', (run?: Run) => (run ? engine.cancel(run.job) : runs.running().forEach((r) => engine.cancel(r.job)))),
    command('restartEngine', () => engine.restart()),
  ];
}

async function askData(model: ModelDocument): Promise<string | undefined> {
  const known = dataFor(model);
  const prompt = 'Labelled data: an IDX or CIFAR folder, a folder of class folders with images, an .npz, or generated:shapes?…';
  return known || vscode.window.showInputBox({ prompt, placeHolder: 'generated:shapes?classes=10&size=32&seed=1' });
}

async function importance({ engine, runs }: Parts, model: ModelDocument): Promise<void> {
  const criterion = vscode.workspace.getConfiguration('scalpel', model.uri).get<Criterion>('criterion', 'gate-taylor');
  const data = criterion === 'gate-taylor' ? await askData(model) : '';
  if (data !== undefined) await computeImportance(model, engine, runs, criterion, data);
}

async function pruneToBudget(parts: Parts, model: ModelDocument): Promise<void> {
  const percent = await vscode.window.showInputBox({
    prompt: 'Percentage of the MACs to keep',
    value: '50',
    validateInput: (text) => (Number(text) > 0 && Number(text) <= 100 ? undefined : 'A number above 0 and up to 100'),
  });
  if (percent === undefined) return;
  if (!model.importance) await importance(parts, model);
  const { importance: report } = model;
  if (!report) return;
  const planned = await parts.engine.request('plan/prune', {
    path: model.basePath,
    plan: model.plan,
    importance: report,
    budget: { flops: Number(percent) / 100 },
    locked: model.lockedNow,
  });
  await model.edit(`Prune to ${percent} % of the MACs`, planned.operations);
}

async function evaluate({ engine, runs }: Parts, model: ModelDocument): Promise<void> {
  const data = await askData(model);
  if (!data) return;
  const request = (job: string) => engine.request('model/evaluate', { job, path: model.basePath, plan: model.plan, data });
  const describe = ({ accuracy, count, loss }: { accuracy: number; count: number; loss: number }): string =>
    `${(100 * accuracy).toFixed(2)} % of ${count}, loss ${loss.toFixed(4)}`;
  const result = await runs.run('Evaluate', model.file, request, describe);
  void vscode.window.showInformationMessage(`${path.basename(model.file)}: ${describe(result)}`);
}

async function measure({ engine, runs }: Parts, model: ModelDocument): Promise<void> {
  const request = (job: string) => engine.request('model/measure', { job, path: model.basePath, plan: model.plan });
  const result = await runs.run('Measure', model.file, request, (r) => `${r.latencyMs.toFixed(2)} ms a sample`);
  const spread = result.latencySpreadMs === undefined ? '' : ` (spread ${result.latencySpreadMs.toFixed(2)} ms)`;
  void vscode.window.showInformationMessage(
    `${path.basename(model.file)}: ${result.latencyMs.toFixed(2)} ms a sample${spread}, ${formatCount(result.macs)} MACs, ${formatCount(result.parameters)} parameters, ${formatBytes(result.bytes)}`,
  );
}

/** Tunes a copy, which lies beside the model, and opens it. Unsaved cuts are applied first. */
async function train({ engine, runs }: Parts, model: ModelDocument): Promise<void> {
  const data = await askData(model);
  if (!data) return;
  const epochs = Number(
    await vscode.window.showInputBox({
      prompt: 'Epochs',
      value: '3',
      validateInput: (t) => (Number.isInteger(Number(t)) && Number(t) > 0 ? undefined : 'A whole number above zero'),
    }),
  );
  if (!epochs) return;
  const layout = vscode.workspace.getConfiguration('scalpel', model.uri).get<'auto' | 'portable' | 'blocked'>('layout', 'auto');
  const memory = await tuningMemory(model, engine, { batch: TUNING_BATCH, layout });
  if (!memory) return;
  const { dir, name } = path.parse(model.file);
  const output = path.join(dir, `${name}-tuned.onnx`);
  await model.saveTo(output);
  const request = (job: string) =>
    engine.request('model/train', {
      job,
      path: output,
      output,
      data,
      epochs,
      batch: TUNING_BATCH,
      learningRate: 0.03,
      layout,
      ...memory,
      noise: plannedNoise(model),
    });
  await runs.run(
    `Tune ${path.basename(output)}`,
    output,
    request,
    ({ epochs: all }) => `${(100 * (all.at(-1)?.accuracy ?? 0)).toFixed(2)} % after ${all.length} epochs`,
    {
      isTraining: true,
      memory: ({ memory: taken }) => taken,
      results: ({ epochs: all, memory: taken }) => [
        { label: path.basename(output), description: 'open the result', file: output },
        { label: 'accuracy', description: formatPercent(all.at(-1)?.accuracy ?? 0, 2) },
        { label: 'MACs', description: formatCount(model.summary.totals.macs) },
        ...(taken ? memoryResults(taken) : []),
      ],
      keep: () => ({}),
    },
  );
  await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(output));
}

async function savePlan(model: ModelDocument): Promise<void> {
  const { dir, name } = path.parse(model.file);
  const target = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(path.join(dir, `${name}.plan.json`)),
    filters: { 'Surgery plan': ['json'] },
  });
  if (target) await vscode.workspace.fs.writeFile(target, Buffer.from(`${JSON.stringify(model.plan, undefined, 2)}\n`));
}

async function saveWeights({ engine, runs }: Parts, model: ModelDocument): Promise<void> {
  const { dir, name } = path.parse(model.file);
  const defaultUri = vscode.Uri.file(path.join(dir, `${name}.safetensors`));
  const target = await vscode.window.showSaveDialog({ defaultUri, filters: { safetensors: ['safetensors'] } });
  if (!target) return;
  const request = (job: string) => engine.request('plan/weights', { job, path: model.basePath, plan: model.plan, output: target.fsPath });
  const { tensors, madeUp } = await runs.run(`Save ${path.basename(target.fsPath)}`, model.file, request, (r) => `${r.tensors} tensors`);
  const unknown = madeUp.length > 0 ? `; the exporter of the model made up ${madeUp.length} of their names (${madeUp[0] ?? ''} …)` : '';
  void vscode.window.showInformationMessage(`Wrote ${tensors} tensors to ${path.basename(target.fsPath)}${unknown}`);
}

import * as vscode from 'vscode';
import { type KernelReport, describeKernels, summariseKernels } from '../engine/contract/kernels';
import { errorsShown } from './commands';
import type { EngineClient } from './engineClient';
import { EngineError } from './engineClient';
import type { Runs } from './runs';

const TITLE = 'Calibrate Kernels';

/** Calibrating the kernels of this machine: a command, and what the setting says of the first training. */
export function registerKernelCommands(engine: EngineClient, runs: Runs): vscode.Disposable[] {
  return [
    vscode.commands.registerCommand(
      'scalpel.calibrateKernels',
      errorsShown(() => calibrate(engine, runs)),
    ),
    runs.onDidEnd((run) => {
      if (run.isTraining && run.state === 'done') void afterTraining(engine, runs).catch(() => undefined);
    }),
  ];
}

async function calibrate(engine: EngineClient, runs: Runs): Promise<void> {
  if (runs.running().length > 0)
    throw new Error('Kernels are timed alone: run "Scalpel: Calibrate Kernels" again when the running jobs have ended');
  const report = await measured(engine, runs, true);
  if (!report) return;
  const answer = await vscode.window.showInformationMessage(summariseKernels(report), 'Show Table');
  if (!answer) return;
  const document = await vscode.workspace.openTextDocument({ language: 'markdown', content: describeKernels(report) });
  await vscode.window.showTextDocument(document, { preview: true });
}

/** @returns undefined when it was cancelled */
async function measured(engine: EngineClient, runs: Runs, isWatched: boolean): Promise<KernelReport | undefined> {
  try {
    return await runs.run(TITLE, '', (job) => engine.request('kernels/calibrate', { job }), summariseKernels, { isWatched });
  } catch (error) {
    if (error instanceof EngineError && error.code === 'cancelled') return undefined;
    throw error;
  }
}

/** Once on a machine: asks, or calibrates by itself, as the setting says. */
async function afterTraining(engine: EngineClient, runs: Runs): Promise<void> {
  const settings = vscode.workspace.getConfiguration('scalpel');
  const wish = settings.get<'offer' | 'automatic' | 'never'>('calibration', 'offer');
  if (wish === 'never' || (await engine.request('kernels/choice', {})) !== 'built-in') return;
  if (wish === 'automatic') {
    if (runs.running().length === 0) await measured(engine, runs, false);
    return;
  }
  const question = 'Training may become faster when Scalpel times the kernels of this machine, once, for a few seconds.';
  const answer = await vscode.window.showInformationMessage(question, TITLE, 'Never');
  if (answer === TITLE) await vscode.commands.executeCommand('scalpel.calibrateKernels');
  if (answer === 'Never') await settings.update('calibration', 'never', vscode.ConfigurationTarget.Global);
}

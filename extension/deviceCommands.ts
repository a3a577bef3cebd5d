import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { DEVICE_VARIABLE, type DeviceReport, TENSORFLOW_VARIABLE } from '../engine/contract/devices';
import type { EngineClient } from './engineClient';
import { npmInstall } from './npmInstall';
import type { Runs } from './runs';

const VERSION = '4.22.0';
const PACKAGES = [
  {
    label: '@tensorflow/tfjs-node-gpu',
    description: 'NVIDIA GPU with CUDA; Linux and Windows',
    detail: 'Downloads libtensorflow, about 1.5 GB.',
  },
  { label: '@tensorflow/tfjs-node', description: 'processor', detail: 'Downloads libtensorflow, about 0.5 GB.' },
];

const storage = (context: vscode.ExtensionContext): string => path.join(context.globalStorageUri.fsPath, 'tensorflow');

/** What the settings tell the engine process. */
export const engineEnvironment = (context: vscode.ExtensionContext): Readonly<Record<string, string>> => ({
  [DEVICE_VARIABLE]: vscode.workspace.getConfiguration('scalpel').get('device', 'auto'),
  [TENSORFLOW_VARIABLE]: storage(context),
});

/** Choosing a device and installing TensorFlow. A changed choice takes effect with a new engine process. */
export function registerDeviceCommands(context: vscode.ExtensionContext, engine: EngineClient, runs: Runs): vscode.Disposable[] {
  const command = (name: string, action: () => Promise<unknown>): vscode.Disposable =>
    vscode.commands.registerCommand(`scalpel.${name}`, () =>
      action().catch((error: unknown) => void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error))),
    );
  return [
    command('chooseDevice', () => chooseDevice(engine)),
    command('installTensorFlow', () => installTensorFlow(context, engine)),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('scalpel.device')) restart(engine, runs);
    }),
  ];
}

function restart(engine: EngineClient, runs: Runs): void {
  if (runs.running().length === 0) return engine.restart();
  void vscode.window.showInformationMessage('The device is used once the running jobs have ended and "Scalpel: Restart Engine" was run.');
}

async function chooseDevice(engine: EngineClient): Promise<void> {
  const info = engine.request('engine/info', {});
  const items = info.then(({ devices }): vscode.QuickPickItem[] => [
    { label: 'auto', description: 'the fastest here, measured once' },
    ...devices.map((device) => ({ label: device.id, description: describe(device), detail: device.unavailable })),
  ]);
  const picked = await vscode.window.showQuickPick(items, {
    title: 'Scalpel: what runs networks',
    placeHolder: 'Device for scoring, training and measuring',
  });
  if (!picked) return;
  await vscode.workspace.getConfiguration('scalpel').update('device', picked.label, vscode.ConfigurationTarget.Global);
  if (picked.detail === undefined) return;
  const install = picked.label === 'tensorflow' ? ['Install TensorFlow Runtime'] : [];
  const answer = await vscode.window.showWarningMessage(`${picked.label}: ${picked.detail} The processor is used meanwhile.`, ...install);
  if (answer) await vscode.commands.executeCommand('scalpel.installTensorFlow');
}

const describe = ({ description, unavailable }: DeviceReport): string =>
  unavailable === undefined ? description : `$(warning) not available: ${description}`;

/** Puts one of tfjs's native packages into the extension's storage with npm, whose last line is the progress. */
async function installTensorFlow(context: vscode.ExtensionContext, engine: EngineClient): Promise<void> {
  const chosen = await vscode.window.showQuickPick(PACKAGES, { title: 'Scalpel: which TensorFlow to install' });
  if (!chosen) return;
  const folder = storage(context);
  await mkdir(folder, { recursive: true });
  const title = `Installing ${chosen.label} into the extension's storage`;
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  await vscode.window.withProgress(options, (progress, token) => {
    const cancelled = new AbortController();
    token.onCancellationRequested(() => cancelled.abort());
    return npmInstall(`${chosen.label}@${VERSION}`, folder, (message) => progress.report({ message }), cancelled.signal);
  });
  engine.restart();
  const { devices } = await engine.request('engine/info', {});
  const device = devices.find(({ id }) => id === 'tensorflow');
  if (!device || device.unavailable !== undefined)
    throw new Error(`${chosen.label} was installed but is not found: ${device?.unavailable ?? ''}`);
  const use = await vscode.window.showInformationMessage(`Installed: ${device.description}`, 'Use It');
  if (use) await vscode.workspace.getConfiguration('scalpel').update('device', 'tensorflow', vscode.ConfigurationTarget.Global);
}

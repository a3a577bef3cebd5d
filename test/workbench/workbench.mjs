/** Starts the VS Code server with the extension of this repository, and a browser on it. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root } from '../../tools/install.mjs';
import { here, server, serverNode } from './setup.mjs';

const SETTINGS = {
  'workbench.startupEditor': 'none',
  'chat.disableAIFeatures': true,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'telemetry.telemetryLevel': 'off',
  'git.enabled': false,
  'workbench.tips.enabled': false,
  'window.autoDetectColorScheme': true,
  'scalpel.calibration': 'never',
};

export async function startServer({ settings = {}, files = {}, extensions = [], workspace: given, port: wanted = 0 } = {}) {
  const data = mkdtempSync(path.join(os.tmpdir(), 'scalpel-workbench-'));
  const workspace = given ?? path.join(data, 'workspace');
  mkdirSync(workspace, { recursive: true });
  for (const [name, source] of Object.entries(files)) cpSync(source, path.join(workspace, name), { recursive: true });
  mkdirSync(path.join(data, 'data/User'), { recursive: true });
  writeFileSync(path.join(data, 'data/User/settings.json'), JSON.stringify({ ...SETTINGS, ...settings }));
  const { publisher, name, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  mkdirSync(path.join(data, 'extensions'));
  symlinkSync(root, path.join(data, 'extensions', `${publisher}.${name}-${version}`));
  for (const extra of extensions) symlinkSync(path.join(here, extra), path.join(data, 'extensions', `scalpel-test.${extra}-0.0.1`));
  const args = [
    'out/server-main.js',
    '--accept-server-license-terms',
    '--server-data-dir',
    data,
    '--host',
    '127.0.0.1',
    '--port',
    String(wanted),
  ];
  const child = spawn(serverNode, [...args, '--without-connection-token', '--disable-telemetry', '--disable-workspace-trust'], {
    cwd: server,
    env: { ...process.env, EXTENSIONS_GALLERY: '{}', XDG_RUNTIME_DIR: data, XDG_CACHE_HOME: path.join(data, 'cache') },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const port = await listeningPort(child);
  const stop = async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    kill(child.pid, 'SIGTERM');
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 5000))]);
    kill(child.pid, 'SIGKILL');
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  };
  return { url: `http://127.0.0.1:${port}/?folder=${encodeURIComponent(workspace)}`, workspace, data, stop };
}

function kill(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has already ended.
  }
}

function listeningPort(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`The VS Code server did not start: ${text}`)), 60_000);
    const read = (chunk) => {
      text += chunk;
      const found = /agent listening on (\d+)/.exec(text);
      if (!found) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => reject(new Error(`The VS Code server ended with code ${code}: ${text}`)));
  });
}

export async function openBrowser(executablePath) {
  const { chromium } = await import('playwright-core');
  const profile = mkdtempSync(path.join(os.tmpdir(), 'scalpel-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1400, height: 900 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page: context.pages()[0], close };
}

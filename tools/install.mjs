import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..');

/** Runs a program with our output; throws when it fails. */
export function execute(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32', ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with code ${result.status}`);
}

/** Installs the dependencies of a package folder unless its lock file is already installed. */
export function installDependencies(folder = root, args = []) {
  const lock = path.join(folder, 'package-lock.json');
  const installed = path.join(folder, 'node_modules', '.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write(`Installing the dependencies of ${path.basename(folder)}\n`);
  execute('npm', ['ci', '--ignore-scripts', '--loglevel=error', ...args], { cwd: folder });
}

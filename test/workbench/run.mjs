/** Runs the end-to-end tests in the real workbench; writes `{passed, failed}` to the file that SCALPEL_REPORT names. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { root } from '../../tools/install.mjs';
import { findBrowser } from './browser.mjs';
import { here, setupWorkbench } from './setup.mjs';

const browser = findBrowser();
if (!browser) process.exit(1);
setupWorkbench();
const mocha = path.join(here, 'node_modules/mocha/bin/mocha.js');
const args = [
  '--no-config',
  '--reporter',
  path.join(root, 'test/support/countingReporter.cjs'),
  '--timeout',
  '180000',
  path.join(here, 'e2e/*.test.mjs'),
];
const { status } = spawnSync(process.execPath, [mocha, ...args], {
  cwd: here,
  stdio: 'inherit',
  env: { ...process.env, CHROMIUM: browser },
});
process.exit(status ?? 1);

/** `npm test`: installs what is missing, builds, checks and runs every suite; the last line counts them all. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { installDependencies, root } from './install.mjs';

const out = path.join(root, 'out');
const bin = (name) => path.join(root, 'node_modules', '.bin', name);

const totals = { passed: 0, failed: 0 };

function run(title, command, args, env = {}) {
  process.stdout.write(`\n== ${title}\n`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  return status === 0;
}

/** A check that is one test: it passes or fails as a whole. */
function check(title, command, args) {
  const ok = run(title, command, args);
  totals[ok ? 'passed' : 'failed']++;
}

/** A suite that writes `{passed, failed}`; a suite that wrote nothing has failed. */
function suite(title, command, args, report) {
  const file = path.join(out, report);
  rmSync(file, { force: true });
  const ok = run(title, command, args, { SCALPEL_REPORT: file });
  const counts = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { passed: 0, failed: 1 };
  totals.passed += counts.passed;
  totals.failed += counts.failed + (ok || counts.failed > 0 ? 0 : 1);
}

mkdirSync(out, { recursive: true });
installDependencies();
check('Build', process.execPath, ['tools/build.mjs']);
check('Types', bin('tsc'), ['-p', '.']);
check('Lint', bin('eslint'), ['--max-warnings', '0', '.']);
const jobs = String(Math.min(4, os.availableParallelism()));
suite(
  'Unit and property tests',
  bin('mocha'),
  ['--parallel', '--jobs', jobs, '--reporter', 'test/support/countingReporter.cjs'],
  'unit-results.json',
);
suite('End-to-end tests', process.execPath, ['test/workbench/run.mjs'], 'e2e-results.json');
process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed\n`);
process.exitCode = totals.failed === 0 ? 0 : 1;

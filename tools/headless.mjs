/** `npm start -- --headless`: the surgery of the sample without an editor, from measuring to the tuned file. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './install.mjs';

const DATA = 'generated:shapes?classes=10&size=32&seed=1';

function scalpel(...args) {
  const { status, stdout } = spawnSync(process.execPath, [path.join(root, 'dist/cli.js'), ...args, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`scalpel ${args[0]} ended with code ${status}`);
  return JSON.parse(stdout);
}

function row(name, before, after, unit = '') {
  const show = (value) => `${typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 3 }) : value}${unit}`;
  const kept = typeof before === 'number' ? `${((100 * after) / before).toFixed(1)} %` : '';
  console.log(`${name.padEnd(12)}${show(before).padStart(16)}${show(after).padStart(16)}${kept.padStart(10)}`);
}

export function headless() {
  const out = path.join(root, 'out');
  mkdirSync(out, { recursive: true });
  const model = path.join(root, 'sample/shapes-resnet8.onnx');
  const cut = path.join(out, 'sample-pruned.onnx');
  const tuned = path.join(out, 'sample-tuned.onnx');
  const start = performance.now();
  const pruned = scalpel('prune', model, '--data', DATA, '--flops', '0.5', '-o', cut);
  scalpel('train', cut, '--data', DATA, '--epochs', '3', '--batch', '64', '--lr', '0.03', '-o', tuned);
  const { accuracy } = scalpel('evaluate', tuned, '--data', DATA);
  const { before, after } = pruned;
  console.log(`${''.padEnd(12)}${'before'.padStart(16)}${'after'.padStart(16)}${'kept'.padStart(10)}`);
  row('MACs', before.macs, after.macs);
  row('parameters', before.parameters, after.parameters);
  row('bytes', before.bytes, after.bytes);
  row('latency', before.latencyMs, after.latencyMs, ' ms');
  row('accuracy', `${(100 * before.accuracy).toFixed(2)} %`, `${(100 * accuracy).toFixed(2)} %`);
  console.log(
    `Right after the cut the accuracy was ${(100 * after.accuracy).toFixed(2)} %; pruned and masked network differ by ${pruned.maskedDifference.toExponential(1)} (relative).`,
  );
  console.log(`Wrote ${path.relative(process.cwd(), tuned)} in ${((performance.now() - start) / 1000).toFixed(0)} s.`);
}

/**
 * Gate Decorator's headline run (arXiv 1909.08174, table 1): ResNet-56 on the whole of CIFAR-10, trained and then pruned by Tick-Tock to 30 % of
 * its MACs. One command; killed at any moment, the same command goes on from the last checkpoint.
 *
 *   npm run resnet56 -- --data cifar-10-batches-bin --out runs/resnet56 --device webgpu
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './install.mjs';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    out: { type: 'string', default: 'runs/resnet56' },
    device: { type: 'string', default: 'auto' },
    epochs: { type: 'string', default: '200' },
    flops: { type: 'string', default: '0.3' },
    model: { type: 'string' },
    depth: { type: 'string', default: '56' },
    limit: { type: 'string' },
    config: { type: 'string' },
  },
});
if (!values.data) {
  console.error('Give --data, the folder with the CIFAR-10 binary batches (data_batch_1.bin ... test_batch.bin).');
  process.exit(2);
}

const cli = path.join(root, 'dist/cli.js');
if (!existsSync(cli)) {
  console.error('Build first: npm run build');
  process.exit(1);
}
const at = (name) => path.join(values.out, name);
const limit = values.limit ? ['--limit', values.limit] : [];
const data = [
  '--data',
  values.data,
  '--mean',
  '0.4914,0.4822,0.4465',
  '--std',
  '0.2470,0.2435,0.2616',
  ...limit,
  '--device',
  values.device,
];
mkdirSync(values.out, { recursive: true });

/** Runs a command of Scalpel; its JSON document, if it makes one, is kept beside the model. */
function scalpel(args, report) {
  console.error(`\n> scalpel ${args.join(' ')}`);
  const { status, stdout } = spawnSync(process.execPath, [cli, ...args, ...(report ? ['--json'] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) {
    console.error(`It ended with code ${status}. The same command goes on from the last checkpoint.`);
    process.exit(status ?? 1);
  }
  if (report) writeFileSync(report, stdout);
  return report ? JSON.parse(stdout) : undefined;
}

/** A stage whose output exists is done; one with a checkpoint goes on. */
function stage(output, command, args) {
  if (existsSync(output)) return console.error(`${output} is there already`);
  const resume = existsSync(`${output}.checkpoint.npz`) ? ['--resume'] : [];
  scalpel([command, ...args, ...resume, '-o', output], output.replace(/\.onnx$/, '.json'));
}

const fresh = at('fresh.onnx');
const trained = values.model ?? at('trained.onnx');
const pruned = at('pruned.onnx');
if (!values.model) {
  if (!existsSync(fresh)) scalpel(['create', `resnet${values.depth}`, '--input', '3,32,32', '--classes', '10', '-o', fresh]);
  const schedule = [
    '--epochs',
    values.epochs,
    '--batch',
    '128',
    '--lr',
    '0.1',
    '--schedule',
    'cosine',
    '--weight-decay',
    '5e-4',
    '--augment',
  ];
  stage(trained, 'train', [fresh, ...data, ...schedule]);
}
stage(pruned, 'tick-tock', [trained, ...data, '--flops', values.flops, ...(values.config ? ['--config', values.config] : [])]);

const { before, after } = JSON.parse(readFileSync(pruned.replace(/\.onnx$/, '.json'), 'utf8'));
const accuracy = (model) => scalpel(['evaluate', model, ...data], model.replace(/\.onnx$/, '.accuracy.json')).accuracy;
const row = (model, { parameters, macs, bytes, latencyMs }) => ({ accuracy: accuracy(model), parameters, macs, bytes, latencyMs });
console.log(JSON.stringify({ before: row(trained, before), after: row(pruned, after), macsKept: after.macs / before.macs }, undefined, 2));

/**
 * ResNet-50 with ImageNet's shapes, batch 32, trained in a process that the kernel holds to 2 GiB: the network is created, the images are
 * drawn, and `scalpel train --memory-budget` does the rest.
 *
 *     npm run resnet50 [-- --limit 2048] [--budget 900MiB] [--steps 3] [--batch 32]
 *
 * The limit is that of a memory control group (Linux, version 1), page cache included. Without the right to make one, --no-limit tells
 * what the process took instead.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes } from '../../engine/contract/format';
import { type TrainingMemory, hiddenPart } from '../../engine/contract/memory';
import { runInGroup } from './memoryGroup';

const { values: flags } = parseArgs({
  allowNegative: true,
  options: {
    limit: { type: 'string', default: '2048' },
    'no-limit': { type: 'boolean', default: false },
    budget: { type: 'string', default: '900MiB' },
    steps: { type: 'string', default: '3' },
    batch: { type: 'string', default: '32' },
    depth: { type: 'string', default: '50' },
  },
});
const cli = path.join(__dirname, '../../dist/cli.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-resnet50-'));
const model = path.join(folder, 'resnet50.onnx');
const [batch, steps, limit] = [Number(flags.batch), Number(flags.steps), Number(flags.limit) * 2 ** 20];

/** A sixth of the images is for testing. */
const images = Math.ceil((batch * steps * 6) / 5);

async function main(): Promise<void> {
  const create = [cli, 'create', `resnet${flags.depth}`, '--input', '3,224,224', '--classes', '1000', '-o', model];
  if (spawnSync(process.execPath, create, { stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0) throw new Error('create failed');
  const data = ['--data', `generated:shapes?classes=10&size=224&count=${images}`, '--epochs', '1', '--lr', '0.01'];
  const train = [
    'train',
    model,
    ...data,
    '--batch',
    flags.batch,
    '--memory-budget',
    flags.budget,
    '--json',
    '-o',
    path.join(folder, 'trained.onnx'),
  ];
  const heap = ['--max-old-space-size=256', '--max-semi-space-size=2'];
  const { code, output, errors, peak } = await runInGroup(
    [process.execPath, ...heap, cli, ...train],
    flags['no-limit'] ? undefined : limit,
  );
  if (code !== 0) throw new Error(`train ended with ${code}, ${formatBytes(peak)} charged at most:\n${errors.slice(-2000)}`);
  const { epochs, memory } = JSON.parse(output) as { epochs: { loss: number; seconds: number }[]; memory: TrainingMemory };
  const seconds = (epochs[0]?.seconds ?? NaN) / steps;
  const hidden = hiddenPart(memory) ?? NaN;
  const { poolBytes, peakBytes, measuredPeakBytes, spillBytes, trafficBytes, transferSeconds, processFloorBytes, processBytes } = memory;
  console.log(
    [
      `ResNet-${flags.depth}, 3 x 224 x 224, batch ${batch}, ${steps} steps, loss ${epochs[0]?.loss.toFixed(3)}: ${seconds.toFixed(1)} s a step`,
      `kernel: ${formatBytes(peak)} charged at most${flags['no-limit'] ? ', no limit' : ` of ${formatBytes(limit)}`}, page cache included`,
      `process: ${formatBytes(processFloorBytes + processBytes)} resident at most, ${formatBytes(processBytes)} over its floor of ${formatBytes(processFloorBytes)}`,
      `pool: ${formatBytes(poolBytes)}; in use at most ${formatBytes(measuredPeakBytes ?? NaN)}, planned ${formatBytes(peakBytes)}`,
      `spill: ${formatBytes(spillBytes)}, ${formatBytes(trafficBytes)} moved a step in ${transferSeconds.toFixed(1)} s, ${(100 * hidden).toFixed(0)} % of that behind computing`,
    ].join('\n'),
  );
}

void main().finally(() => rmSync(folder, { recursive: true, force: true }));

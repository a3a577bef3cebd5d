import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createModel } from '../../../engine/architectures/createModel';
import { writeOnnx } from '../../../engine/formats/onnx/writeOnnx';
import { readNpz } from '../../../engine/formats/npy/npz';
import { Random } from '../../../engine/graph/random';

const CLI = path.join(__dirname, '../../../dist/cli.js');
const KILLS = Number(process.env.SCALPEL_KILLS ?? 3);

/** Kills `train` at random moments and starts it again; SCALPEL_KILLS=30 does so more often. */
describe('memory: a killed run within a budget', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-kill-'));
  const spill = path.join(folder, 'tmp');
  const output = path.join(folder, 'out.onnx');
  const checkpoint = `${output}.checkpoint.npz`;
  after(() => rmSync(folder, { recursive: true, force: true }));

  const start = (epochs: number): ChildProcess => {
    const resume = existsSync(checkpoint) ? ['--resume'] : [];
    const data = ['--data', 'generated:shapes?classes=4&size=16&count=96', '--batch', '8', '--epochs', String(epochs)];
    const budget = ['--memory-budget', '1900KiB', '--layout', 'portable'];
    const args = [CLI, 'train', path.join(folder, 'net.onnx'), ...data, ...budget, ...resume, '-o', output];
    return spawn(process.execPath, args, { env: { ...process.env, TMPDIR: spill }, stdio: ['ignore', 'ignore', 'pipe'] });
  };

  it('leaves no spill file, and a checkpoint that the next start goes on from', async function () {
    this.timeout(120_000);
    await writeOnnx(createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 }), path.join(folder, 'net.onnx'));
    const random = new Random(Date.now() % 1000);
    let [killed, epoch] = [0, 0];
    while (killed < KILLS) {
      const child = start(1000);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await epochEnd(child);
      await setTimeout(random.uniform() * 150);
      child.kill('SIGKILL');
      await ended;
      killed++;
      // The first kill may come before there is one.
      const saved = existsSync(checkpoint) ? Number(readNpz(checkpoint).get('checkpoint/position')?.data[0]) : 0;
      assert.ok(saved >= epoch, `checkpoint of epoch ${saved} after ${epoch}`);
      epoch = saved;
    }
    const last = start(epoch + 1);
    let errors = '';
    last.stderr?.on('data', (text: Buffer) => (errors += text.toString()));
    assert.equal(await new Promise((resolve) => last.once('exit', resolve)), 0, errors);
    assert.ok(existsSync(output) && !existsSync(checkpoint));
    assert.deepEqual(
      readdirSync(spill).filter((name) => name.startsWith('scalpel-')),
      [],
    );
  });
});

function epochEnd(child: ChildProcess): Promise<void> {
  let text = '';
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (/^epoch \d+/m.test(text)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before an epoch: ${text}`)));
  });
}

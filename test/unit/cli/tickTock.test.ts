import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TickTockResult } from '../../../engine/contract/tickTock';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { loadModel } from '../../../engine/server/operations/loadModel';

const cli = path.join(__dirname, '../../../dist/cli.js');
const DATA = 'generated:shapes?classes=3&size=12&seed=2&count=240';

describe('tick-tock on the command line', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-tick-'));
  const at = (name: string): string => path.join(folder, name);
  const args = (output: string, ...more: string[]) => [
    ...[cli, 'tick-tock', at('model.onnx'), '--data', DATA, '--flops', '0.7', '--config', at('config.json')],
    ...['--threads', '1', '--json', '-o', at(output), ...more],
  ];
  const config = { filtersPerTick: 0.06, ticksPerTock: 3, tockEpochs: 1, finetuneEpochs: 1, finalEpochs: 0, batch: 24 };

  before(() => {
    writeFileSync(at('config.json'), `// quick\n${JSON.stringify(config)}`);
    const create = ['create', 'resnet8', '--input', '3,12,12', '--classes', '3', '--shortcut', 'conv', '-o', at('model.onnx')];
    assert.equal(spawnSync(process.execPath, [cli, ...create]).status, 0);
  });
  after(() => rmSync(folder, { recursive: true }));

  it('gives the same file when it is killed with SIGKILL after a Tick and resumed', async function () {
    this.timeout(240_000);
    const whole = spawnSync(process.execPath, args('whole.onnx', '--snapshots', at('ticks')), { encoding: 'utf8' });
    const { history, ...result } = JSON.parse(whole.stdout) as TickTockResult;
    await checkSnapshots(history);
    assert.ok(result.after.macs <= 0.7 * result.before.macs);
    assert.ok(result.maskedDifference < 1e-5 && (result.after.peakActivationBytes ?? 0) > 0);

    const killed = spawn(process.execPath, args('killed.onnx'));
    await new Promise<void>((resolve) => {
      killed.on('close', resolve);
      killed.stderr.on('data', (text: Buffer) => {
        if (/tick 2: \d+ filters/.test(String(text))) killed.kill('SIGKILL');
      });
    });
    assert.equal(killed.signalCode, 'SIGKILL');
    assert.ok(existsSync(at('killed.onnx.checkpoint.npz')) && !existsSync(at('killed.onnx')));
    const other = spawnSync(process.execPath, [...args('killed.onnx', '--resume'), '--round-to', '4'], { encoding: 'utf8' });
    assert.equal(other.status, 2);
    assert.match(other.stderr, /belongs to a run with another/);
    const resumed = spawnSync(process.execPath, args('killed.onnx', '--resume'), { encoding: 'utf8' });
    assert.equal(resumed.status, 0, resumed.stderr);
    assert.equal(Buffer.compare(readFileSync(at('killed.onnx')), readFileSync(at('whole.onnx'))), 0);
    assert.deepEqual(
      (JSON.parse(resumed.stdout) as TickTockResult).history,
      history.map(({ snapshot: _, ...point }) => point),
    );
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('.npz') || name.includes('.tmp')),
      [],
    );
  });

  /** Every file is the network of the last point that names it. */
  async function checkSnapshots(history: TickTockResult['history']): Promise<void> {
    const points = new Map(history.map((point) => [point.snapshot, point]));
    assert.deepEqual([...points.keys()].map((file) => path.basename(file ?? '')).sort(), readdirSync(at('ticks')).sort());
    assert.ok(points.size > 2);
    for (const [file = '', { macs, parameters }] of points) {
      const cost = new SelectionCost(findChannelGroups((await loadModel(file)).graph)).of();
      assert.deepEqual([cost.macs, cost.parameters], [macs, parameters]);
    }
  }

  it('says at once that a budget cannot be met', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      args('none.onnx').map((a) => (a === '0.7' ? '0.001' : a)),
      { encoding: 'utf8' },
    );
    assert.equal(status, 1);
    assert.match(stderr, /budget cannot be met.*minimumKept/);
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type FinishedRun, RunHistory } from '../../../extension/runHistory';

describe('history of finished runs', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-history-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const store = (): string => path.join(folder, 'storage', 'runs.json');

  /** A run whose result is there. */
  function run(name: string, detail = 'done'): FinishedRun {
    const file = path.join(folder, name);
    writeFileSync(file, '');
    return { title: `Tick-Tock ${name}`, file, detail, finished: '2026-01-02T03:04:05.000Z', results: [] };
  }

  it('is the same for the next session, the newest first', async () => {
    const history = new RunHistory(store());
    const [first, second] = [run('a.onnx'), run('b.onnx')];
    await Promise.all([history.add(first), history.add(second)]);
    assert.deepEqual(await new RunHistory(store()).list(), [second, first]);
    assert.deepEqual(readdirSync(path.dirname(store())), ['runs.json']);
  });

  it('keeps the last run that wrote a file, and none whose result is gone or that was removed', async () => {
    const history = new RunHistory(store());
    for (const each of [run('a.onnx', 'before'), run('b.onnx'), run('c.onnx'), run('a.onnx', 'after')]) await history.add(each);
    rmSync(path.join(folder, 'b.onnx'));
    await history.remove(path.join(folder, 'c.onnx'));
    assert.deepEqual(
      (await new RunHistory(store()).list()).map((r) => r.detail),
      ['after'],
    );
  });

  it('forgets the oldest beyond fifty', async () => {
    const history = new RunHistory(store());
    for (let i = 0; i < 60; i++) await history.add(run(`${i}.onnx`));
    const list = await new RunHistory(store()).list();
    assert.equal(list.length, 50);
    assert.equal(list.at(-1)?.title, 'Tick-Tock 10.onnx');
  });

  it('starts empty where the file is damaged, and leaves out entries that are none', async () => {
    const good = run('a.onnx');
    await new RunHistory(store()).add(good);
    writeFileSync(store(), JSON.stringify([{ title: 1 }, null, good]));
    assert.deepEqual(await new RunHistory(store()).list(), [good]);
    writeFileSync(store(), '{"half');
    assert.deepEqual(await new RunHistory(store()).list(), []);
  });
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { root } from '../../../tools/install.mjs';
import { openSession, scalpel, until } from '../session.mjs';

const DATA = 'generated:shapes?classes=10&size=32&seed=1&count=1200';
const SETTINGS = {
  filtersPerTick: '6',
  tickData: '50',
  ticksPerTock: '3',
  tockEpochs: '1',
  finetuneEpochs: '1',
  finalEpochs: '0',
  batch: '64',
};

const inspect = (file) => scalpel('inspect', file);

describe('Tick-Tock in the workbench', () => {
  let session;
  let page;
  let tick;
  const at = (name) => path.join(session.server.workspace, name);
  const number = async (selector) => parseFloat(await tick.locator(selector).innerText());

  before(async () => {
    session = await openSession({ files: { 'model.py': path.join(root, 'sample/model.py') } });
    page = session.page;
    await session.command('Scalpel: Open Sample Model');
    await session.opened('.layers tbody tr');
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session.shot(`failed-tick-tock-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  async function fill(settings, budget, output) {
    await tick.locator('#schedule').click();
    await tick.locator('#schedule vscode-option', { hasText: 'Quick look' }).click();
    const first = tick.locator('#filtersPerTick input');
    await until(async () => (await first.inputValue()) === '5', 'the schedule is in the fields');
    for (const [key, value] of Object.entries(settings)) await tick.locator(`#${key} input`).fill(value);
    await tick.locator('#data input').fill(DATA);
    await tick.locator('#budget input').fill(budget);
    await tick.locator('#output input').fill(output);
    assert.equal(await first.inputValue(), settings.filtersPerTick);
  }

  it('says what is wrong with a setting before anything runs', async () => {
    await session.command('Scalpel: Run Tick-Tock');
    tick = await session.opened('#start');
    await until(async () => (await tick.locator('#ticksPerTock input').inputValue()) === '10', "the paper's settings are there");
    await tick.locator('#batch input').fill('many');
    await tick.locator('#start').click();
    await until(async () => /Batch: “many” is not a number/.test(await tick.locator('.notice.error').innerText()), 'the field is named');
    await session.shotInColours('tick-tock-setup');
  });

  it('prunes and tunes in turns with curves of every Tick, and stops with the network of the last one', async () => {
    await fill({ ...SETTINGS, finetuneEpochs: '30' }, '55', 'stopped.onnx');
    await tick.locator('#start').click();
    await until(async () => (await number('#now-ticks')) >= 4, 'four Ticks are done', 120_000);
    assert.ok((await tick.locator('.removed').count()) >= 4);
    assert.ok((await tick.locator('.accuracy-chart .band').count()) >= 2, 'Ticks and a Tock are told apart');
    await session.shot('tick-tock-running-dark');
    await tick.locator('#stop').click();
    await tick.locator('table.result').waitFor({ timeout: 60_000 });
    const whole = inspect(at('shapes-resnet8.onnx')).totals;
    const { macs } = inspect(at('stopped.onnx')).totals;
    assert.equal(await tick.locator('#now-macs').innerText(), `${((100 * macs) / whole.macs).toFixed(1)} %`);
    assert.ok(macs < whole.macs);
    assert.deepEqual(
      readdirSync(session.server.workspace).filter((name) => /checkpoint|run\.json/.test(name)),
      [],
    );
  });

  it('opens the network of an earlier Tick', async () => {
    const chart = tick.locator('.accuracy-chart svg');
    await chart.focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await until(async () => /^Tick 1: /.test(await tick.locator('.choice').innerText()), 'the first Tick is chosen');
    await tick.locator('#open-tick').click();
    await page.locator('.tabs-container .tab', { hasText: /pass-0001-tick-0001.onnx/ }).waitFor({ timeout: 30_000 });
    await page.locator('.tabs-container .tab', { hasText: 'Tick-Tock' }).click();
  });

  it('compares the layers, and lists the result beside the other runs', async () => {
    tick = await session.opened('#start');
    await tick.locator('#compare').click();
    await tick.locator('table.comparison tbody tr').first().waitFor({ timeout: 30_000 });
    assert.match(await tick.locator('table.comparison').innerText(), /\d+ → \d+/);
    await tick.locator('.outcome').scrollIntoViewIfNeeded();
    await session.shotInColours('tick-tock-result');
    await page.emulateMedia({ colorScheme: 'dark', forcedColors: 'active' });
    await session.shot('tick-tock-high-contrast');
    await page.emulateMedia({ forcedColors: 'none' });
    await session.setColours('dark');
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').click();
    await page.locator('.monaco-list-row', { hasText: 'Tick-Tock stopped.onnx' }).first().waitFor();
  });

  it('previews the change of the source that the result asks for', async () => {
    await tick.locator('#applyToSource').click();
    const preview = page.locator('.panel .monaco-list-row', { hasText: 'model.py' });
    await preview.first().waitFor({ timeout: 30_000 });
    await page.locator('.panel .monaco-button', { hasText: 'Discard' }).click();
    await page.locator('.tabs-container .tab', { hasText: 'Tick-Tock' }).click();
  });

  it('goes on from its checkpoint after the window was loaded anew', async () => {
    await tick.locator('.setup summary').click();
    await fill({ ...SETTINGS, filtersPerTick: '4' }, '60', 'resumed.onnx');
    await tick.locator('#start').click();
    await until(() => existsSync(at('resumed.onnx.checkpoint.npz')), 'a checkpoint is written', 60_000);
    await until(async () => (await number('#now-ticks')) >= 2, 'two Ticks are done', 60_000);
    await tick.locator('#pause').click();
    await tick.locator('#resume').click({ timeout: 30_000 });
    await until(async () => (await number('#now-ticks')) >= 3, 'it goes on after the pause', 60_000);
    const points = () => JSON.parse(readFileSync(at('resumed.onnx.run.json'), 'utf8')).points.length;
    await until(() => points() >= 2, 'the record tells of them');
    const engines = execFileSync('pgrep', ['-f', 'dist/engine.js'], { encoding: 'utf8' }).trim().split('\n');
    await session.load();
    for (const pid of engines) if (isAlive(pid)) process.kill(Number(pid), 'SIGKILL');
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').click();
    const row = page.locator('.monaco-list-row', { hasText: 'Tick-Tock resumed.onnx' }).first();
    await row.waitFor({ timeout: 60_000 });
    await row.hover();
    await session.shot('tick-tock-interrupted-dark');
    await row.locator('.action-label[aria-label^="Resume Run"]').click();
    await until(() => existsSync(at('resumed.onnx')) && !existsSync(at('resumed.onnx.run.json')), 'the run is done', 120_000);
    const { macs } = inspect(at('resumed.onnx')).totals;
    assert.ok(macs <= 0.6 * inspect(at('shapes-resnet8.onnx')).totals.macs);
    await row.click();
    tick = await session.opened('table.result');
    assert.ok((await tick.locator('.removed').count()) >= 2, 'the curves have the Ticks from before');
  });
});

function isAlive(pid) {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

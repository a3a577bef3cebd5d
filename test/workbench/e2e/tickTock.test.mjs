import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
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

const FILE_SETTINGS = {
  filtersPerTick: 0.1,
  tickData: 0.3,
  ticksPerTock: 2,
  initialTock: false,
  finetuneEpochs: 1,
  finalEpochs: 0,
  batch: 64,
  teacherWeight: 0.5,
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

  async function choose(id, text) {
    await tick.locator(`#${id}`).click();
    await tick.locator(`#${id} vscode-option`, { hasText: text }).click();
  }

  async function fill(settings, budget, output) {
    await choose('schedule', 'Quick look');
    await choose('budget-kind', 'MACs kept');
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
    await session.openSideBar();
    await page.locator('.monaco-list-row', { hasText: 'Tick-Tock stopped.onnx' }).first().waitFor();
  });

  it('previews the change of the source that the result asks for', async () => {
    await tick.locator('#applyToSource').click();
    const preview = page.locator('.panel .monaco-list-row', { hasText: 'model.py' });
    await preview.first().waitFor({ timeout: 30_000 });
    await page.locator('.panel .monaco-button', { hasText: 'Discard' }).click();
    await page.locator('.tabs-container .tab', { hasText: 'Tick-Tock' }).click();
  });

  it('takes a budget in milliseconds, settings of a file, noise and a teacher', async () => {
    writeFileSync(at('short.json'), JSON.stringify(FILE_SETTINGS));
    await tick.locator('.setup summary').click();
    await tick.locator('#choose-settings').click();
    await session.chooseFile(at('short.json'));
    await until(async () => /short\.json/.test(await tick.locator('.settings-source').innerText()), 'the file is named');
    assert.equal(await tick.locator('#filtersPerTick input').inputValue(), '10');
    assert.equal(await tick.locator('#teacherWeight input').inputValue(), '50');
    await tick.locator('#teacher input').fill('shapes-resnet8.onnx');
    await choose('noise', 'Gaussian');
    await choose('budget-kind', 'Latency of one sample');
    await tick.locator('#budget input').fill('0.0001');
    await tick.locator('#output input').fill('fast.onnx');
    await tick.locator('#start').click();
    await until(async () => /takes \d+\.\d+ ms/.test(await tick.locator('.notice.error').innerText()), 'no network is as fast', 60_000);
    await tick.locator('#budget input').fill('10000');
    await tick.locator('#start').click();
    await until(() => existsSync(at('fast.onnx.run.json')), 'the run is recorded', 30_000);
    const { options } = JSON.parse(readFileSync(at('fast.onnx.run.json'), 'utf8'));
    assert.equal(options.latency, 10_000);
    assert.equal(options.noise.method, 'gaussian');
    assert.equal(options.teacher, at('shapes-resnet8.onnx'));
    assert.equal(options.config.teacherWeight, 0.5);
    assert.equal(options.config.finetuneEpochs, 1);
    await until(() => existsSync(at('fast.onnx')), 'the budget is met at once, and the network is tuned', 90_000);
    await tick.locator('.now .figure', { hasText: 'Latency' }).waitFor();
    await until(async () => (await tick.locator('#now-ticks').innerText()) === '0', 'no Tick was needed');
    await tick.locator('.setup summary').click();
    await tick.locator('#teacher input').fill('');
    await choose('noise', 'None');
    await tick.locator('.setup summary').click();
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
    await session.openSideBar();
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

  it('lists what earlier sessions finished, with its page', async () => {
    const row = page.locator('.monaco-list-row', { hasText: 'Tick-Tock stopped.onnx' }).first();
    assert.match(await row.innerText(), /\d+:\d+.* · stopped at \d+\.\d % of the MACs, \d+\.\d+ % correct/);
    await row.click();
    await until(async () => /The run was stopped/.test(await tick.locator('.card').innerText()), 'its result is shown', 60_000);
    assert.ok((await tick.locator('.removed').count()) >= 4);
    await tick.locator('#compare').click();
    await tick.locator('table.comparison tbody tr').first().waitFor({ timeout: 30_000 });
    await session.shot('tick-tock-history-dark');
    await row.hover();
    await row.locator('.action-label[aria-label^="Open Result"]').click();
    await page.locator('.tabs-container .tab', { hasText: /^stopped.onnx/ }).waitFor({ timeout: 30_000 });
    await row.hover();
    await row.locator('.action-label[aria-label^="Remove from List"]').click();
    await row.waitFor({ state: 'hidden' });
  });
});

function isAlive(pid) {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

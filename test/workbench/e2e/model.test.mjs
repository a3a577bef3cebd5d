import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { root } from '../../../tools/install.mjs';
import { openSession, scalpel, until } from '../session.mjs';

const SAMPLE = 'shapes-resnet8.onnx';
const DATA = 'generated:shapes?classes=10&size=32&seed=1';
describe('the sample in the workbench', () => {
  let session;
  let page;
  let server;
  let pick;
  let command;
  let shot;
  let setColours;
  let shotInColours;
  const file = () => path.join(server.workspace, SAMPLE);

  before(async () => {
    const settings = { 'files.autoSave': 'off' };
    session = await openSession({ settings, files: { 'model.py': path.join(root, 'sample/model.py') } });
    ({ page, server, pick, command, shot, setColours, shotInColours } = session);
    await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'model.py' }).waitFor({ timeout: 90_000 });
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  const webview = () => page.frameLocator('iframe.webview').last().frameLocator('iframe#active-frame');
  const figure = (name) => webview().locator('.overview .figure', { hasText: name }).locator('dd');

  it('lists what networks can run on, with the reason for what cannot', async () => {
    await command('Scalpel: Choose Device');
    const rows = page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: /cores/ }).waitFor({ timeout: 60_000 });
    await rows.filter({ hasText: /not available.*CUDA/ }).waitFor();
    await shot('devices');
    await page.keyboard.press('Escape');
    await page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  });

  it('opens with its layers and costs', async () => {
    await command('Scalpel: Open Sample Model');
    await webview().locator('h1', { hasText: SAMPLE }).waitFor({ timeout: 60_000 });
    assert.equal(await figure('MACs').innerText(), '12.5 M');
    assert.equal(await figure('Parameters').innerText(), '78.0 k');
    assert.ok((await webview().locator('.layers tbody tr').count()) > 20);
  });

  it('shows the importance of every filter', async () => {
    await webview().locator('#compute').click();
    await webview().locator('.threshold').waitFor({ timeout: 90_000 });
    const { groups } = scalpel('inspect', file());
    assert.equal(await webview().locator('.group-card').count(), groups.length);
    const labels = await webview()
      .locator('.bars')
      .evaluateAll((bars) => bars.map((bar) => bar.getAttribute('aria-label')));
    assert.deepEqual(
      labels.map((text) => Number(/of (\d+) filters/.exec(text)[1])),
      groups.map((g) => g.channels),
    );
  });

  /** Filters that the bars show as cut, by group. */
  const cutFilters = () =>
    webview()
      .locator('.bars')
      .evaluateAll((bars) => bars.map((bar) => Number(/: (\d+) of/.exec(bar.getAttribute('aria-label'))[1])));
  const exact = () => until(async () => (await webview().locator('#cut-macs.estimate').count()) === 0, 'the totals are exact');
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

  it("shows what a threshold cuts while it is dragged, to the engine's exact count", async () => {
    const chart = await webview().locator('svg.ranking').boundingBox();
    const y = chart.y + chart.height / 2;
    await page.mouse.move(chart.x + 54, y);
    await page.mouse.down();
    for (let i = 1; i <= 10; i++) await page.mouse.move(chart.x + 54 + (chart.width * 0.4 * i) / 10, y);
    await page.mouse.up();
    await exact();
    const cut = Number(await webview().locator('#cut-filters').innerText());
    assert.ok(cut > 20, `${cut} filters cut`);
    assert.equal(sum(await cutFilters()), cut);
    assert.ok(parseFloat(await webview().locator('#cut-macs').innerText()) < 90);
    await webview().locator('.threshold').focus();
    await page.keyboard.press('ArrowRight');
    await until(async () => Number(await webview().locator('#cut-filters').innerText()) >= cut, 'the key moved the threshold');
    await exact();
  });

  it('says why layers go together and lights them up together', async () => {
    const { groups } = scalpel('inspect', file());
    const residual = groups.find((g) => g.layers.length > 1);
    const card = webview().locator(`.group-card[data-group="${residual.id}"]`);
    await card.locator('.group-name').click();
    assert.match(await webview().locator('.explanation').innerText(), /Add \(.*\) ties the channels/);
    await card.locator('.bars').hover();
    assert.deepEqual(
      (
        await webview()
          .locator('tr.coupled')
          .evaluateAll((rows) => rows.map((row) => row.dataset.layer))
      ).sort(),
      [...residual.layers].sort(),
    );
    await shotInColours('model-explained');
    await webview().locator('.close-explanation').click();
  });

  it('keeps the filters of a group that is locked by a click, undoably', async () => {
    const before = await cutFilters();
    const index = before.indexOf(Math.max(...before));
    const lock = webview().locator('.group-card').nth(index).locator('.lock');
    await lock.click();
    await until(async () => (await cutFilters())[index] === 0, 'nothing of the group is cut');
    await exact();
    assert.equal(sum(await cutFilters()), sum(before) - before[index]);
    await page.locator('.tabs-container .tab', { hasText: SAMPLE }).click();
    await page.keyboard.press('Control+z');
    await until(async () => (await cutFilters())[index] === before[index], 'undo unlocks the group');
    await page.keyboard.press('Control+y');
    await until(async () => (await cutFilters())[index] === 0, 'redo locks it');
  });

  it('finds the threshold for a budget, with what is locked left whole', async () => {
    const locked = (await cutFilters()).indexOf(0);
    await webview().locator('#budget input').fill('60');
    await page.keyboard.press('Enter');
    const left = async () => parseFloat(await webview().locator('#cut-macs').innerText());
    await until(async () => (await left()) <= 60 && (await left()) > 55, 'the threshold meets the budget');
    await exact();
    assert.equal((await cutFilters())[locked], 0);
    await webview().locator('#budget input').fill('1');
    await page.keyboard.press('Enter');
    await until(
      async () => /budget cannot be met/.test(await webview().locator('.notice.error').innerText()),
      'an impossible one is refused',
    );
    await webview().locator('.lock[aria-pressed="true"]').click();
  });

  it('measures how sensitive every group is', async () => {
    await webview().locator('#sensitivity').click();
    await webview().locator('.sensitivity path').first().waitFor({ timeout: 90_000 });
    const { groups } = scalpel('inspect', file());
    assert.equal(await webview().locator('.sensitivity path').count(), groups.length);
    await until(async () => (await webview().locator('.group-loss', { hasText: 'alone' }).count()) > 0, 'the loss at the cut is told');
    await shotInColours('importance');
    await page.emulateMedia({ colorScheme: 'dark', forcedColors: 'active' });
    await shot('importance-high-contrast');
    await page.emulateMedia({ forcedColors: 'none' });
    await setColours('dark');
    await page.setViewportSize({ width: 800, height: 900 });
    await shot('importance-narrow');
    await page.setViewportSize({ width: 1400, height: 900 });
  });

  it('applies, undoes and redoes the cut', async () => {
    await webview().locator('#apply').click();
    await until(async () => (await figure('MACs').innerText()) !== '12.5 M', 'the cut is applied');
    const cut = await figure('MACs').innerText();
    await webview().locator('h1').click();
    await page.keyboard.press('Control+z');
    await until(async () => (await figure('MACs').innerText()) === '12.5 M', 'undo brings the MACs back');
    await page.keyboard.press('Control+y');
    await until(async () => (await figure('MACs').innerText()) === cut, 'redo cuts again');
  });

  it('keeps the filters of a group whose box in the surgery plan is cleared, with all its layers', async () => {
    const cut = await figure('MACs').innerText();
    await session.openSideBar();
    const row = (text) => page.locator('.monaco-list-row', { hasText: text }).first();
    await row('Prune').waitFor();
    await row('Prune').locator('.monaco-tl-twistie').click();
    const group = row('2 layers');
    await group.waitFor();
    assert.match(await group.innerText(), /\d+ → \d+ · 2 layers · −\d+\.\d % MACs/);
    await group.locator('.monaco-tl-twistie').click();
    const boxes = page.locator('.monaco-list-row[aria-level="3"] .monaco-checkbox');
    await until(async () => (await boxes.count()) === 2, 'both layers are there');
    await boxes.last().click();
    await until(async () => (await figure('MACs').innerText()) !== cut, 'the group is whole again');
    await until(async () => (await row('keeps all').count()) === 1, 'the plan says so');
    await until(
      async () => (await page.locator('.monaco-list-row[aria-level="3"] .monaco-checkbox.checked').count()) === 0,
      'coupled layers go together',
    );
    await shotInColours('plan');
    await page.locator('.tabs-container .tab', { hasText: SAMPLE }).click();
    await page.keyboard.press('Control+z');
    await until(async () => (await figure('MACs').innerText()) === cut, 'undo cuts it again');
    await page.keyboard.press('Control+Shift+E');
  });

  it('saves a smaller file', async () => {
    const before = statSync(file()).size;
    await webview().locator('h1').click();
    await page.keyboard.press('Control+s');
    await until(() => statSync(file()).size < before, 'the file is smaller', 60_000);
    const saved = scalpel('inspect', file());
    const shown = await figure('MACs').innerText();
    assert.equal(`${(saved.totals.macs / 1e6).toPrecision(3)} M`, shown);
  });

  it('reverts to what was saved', async () => {
    const saved = await figure('MACs').innerText();
    await session.ask('Scalpel: Prune to a Budget', ['Percentage of the MACs']);
    await until(async () => (await figure('MACs').innerText()) !== saved, 'it is cut again', 60_000);
    await command('File: Revert File');
    await until(async () => (await figure('MACs').innerText()) === saved, 'the saved cut is shown');
    assert.equal(await page.locator('.tabs-container .tab.dirty').count(), 0);
  });

  it('evaluates the saved file as its plan did, and opens it again', async () => {
    const shown = await figure('MACs').innerText();
    const { accuracy } = scalpel('evaluate', file(), '--data', DATA);
    await command('Scalpel: Evaluate');
    const toast = page.locator('.notification-list-item-message', { hasText: 'of 1000' });
    await toast.first().waitFor({ timeout: 60_000 });
    assert.ok((await toast.first().innerText()).includes(`${(100 * accuracy).toFixed(2)} %`));
    await command('View: Close All Editors');
    await command('Scalpel: Open Sample Model');
    await until(
      async () =>
        (await figure('MACs')
          .innerText()
          .catch(() => '')) === shown,
      'the saved file is shown',
    );
  });

  it('shows models, plan and runs in the side bar', async () => {
    await session.openSideBar();
    const row = (text) => page.locator('.monaco-list-row', { hasText: text }).first();
    await row(SAMPLE).waitFor();
    await row('Evaluate').waitFor();
    await row('Importance').waitFor();
    await shot('sidebar-dark');
  });

  it('puts costs over the layers of the Python file', async () => {
    await pick('Control+P', 'model.py');
    const lens = page.locator('.codelens-decoration a', { hasText: 'MACs' });
    await lens.first().waitFor({ timeout: 60_000 });
    assert.ok((await lens.count()) >= 3);
    await shot('lenses-dark');
  });

  it('previews the change of the source and applies it when told to', async () => {
    const source = path.join(server.workspace, 'model.py');
    const before = readFileSync(source, 'utf8');
    await page.locator('.codelens-decoration a', { hasText: 'filters to be cut' }).first().click();
    const accept = page.locator('.panel .monaco-button', { hasText: 'Apply' });
    await accept.waitFor({ timeout: 30_000 });
    await shot('source-preview-dark');
    assert.equal(readFileSync(source, 'utf8'), before);
    const boxes = page.locator('.panel .monaco-list-row .edit-checkbox');
    assert.ok((await boxes.count()) > 1);
    assert.equal(await page.locator('.panel .monaco-list-row .edit-checkbox.checked').count(), await boxes.count(), 'all are ticked');
    await accept.click();
    await until(
      async () => (await page.locator('.codelens-decoration a', { hasText: 'filters to be cut' }).count()) === 0,
      'no cut is pending',
    );
    await page.locator('.editor-instance .monaco-editor').first().click();
    await page.keyboard.press('Control+s');
    await until(() => /conv1_out=\d+/.test(readFileSync(source, 'utf8')), 'the source is rewritten');
    await shot('source-edited-dark');
  });

  it('survives a crash of the engine', async () => {
    const pids = execFileSync('pgrep', ['-f', 'dist/engine.js'], { encoding: 'utf8' }).trim().split('\n');
    for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
    await page.locator('.notification-list-item-message', { hasText: 'engine stopped' }).first().waitFor({ timeout: 30_000 });
    await pick('Control+P', SAMPLE);
    await command('Scalpel: Measure Latency and Size');
    await page.locator('.notification-list-item-message', { hasText: 'ms a sample' }).first().waitFor({ timeout: 60_000 });
  });
});

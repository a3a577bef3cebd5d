import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { root } from '../../../tools/install.mjs';
import { openSession, scalpel, scalpelMeanwhile, until } from '../session.mjs';

const SAMPLE = 'shapes-resnet8.onnx';
describe('memory timeline in the workbench', () => {
  let session;
  let page;
  let server;
  let command;
  let opened;
  let shot;
  let setColours;
  let shotInColours;
  const file = () => path.join(server.workspace, SAMPLE);

  before(async () => {
    session = await openSession({ files: { 'model.py': path.join(root, 'sample/model.py') } });
    ({ page, server, command, opened, shot, setColours, shotInColours } = session);
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-memory-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  const reports = new Map();
  /** What the engine says of the sample; each is asked for once. */
  const memory = (...args) => {
    const key = args.join(' ');
    if (!reports.has(key)) reports.set(key, scalpelMeanwhile('memory', file(), '--batch', '64', ...args));
    return reports.get(key);
  };
  const size = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const policyOf = (report, name) => report.policies.find((p) => p.policy === name);

  const timeline = () => opened('.timeline');
  const idle = async (frame) => {
    await until(async () => (await frame.locator('dd.estimate').count()) === 0, 'the figures are exact');
    await until(async () => (await frame.locator('#page').getAttribute('aria-busy')) === 'false', 'nothing is computed');
  };

  it("shows where the peak is, with the engine's figures", async () => {
    await command('Scalpel: Open Sample Model');
    await opened('.layers tbody tr');
    await page.locator('.editor-actions a[aria-label^="Memory Timeline"]').click();
    const reported = memory();
    const frame = await timeline();
    await frame.locator('#peak').waitFor({ timeout: 60_000 });
    await idle(frame);
    const report = await reported;
    const auto = policyOf(report, 'auto');
    const totals = report.timeline.map((point) => Object.values(point.bytes).reduce((a, b) => a + b, 0));
    const peak = totals.indexOf(Math.max(...totals));
    assert.equal(await frame.locator('#peak').innerText(), size(totals[peak]));
    assert.match(
      await frame.locator('.effect .was').first().innerText(),
      new RegExp(`^${report.timeline[peak].layer}, ${report.timeline[peak].phase}`),
    );
    assert.equal(await frame.locator('#pool').innerText(), size(auto.poolBytes));
    assert.equal(await frame.locator('#floor').innerText(), size(auto.floorBytes));
    assert.equal(await frame.locator('.policies tbody tr').count(), 5);
    const none = frame.locator('.policies tr[data-policy="none"]');
    assert.match(await none.innerText(), new RegExp(size(policyOf(report, 'none').poolBytes).replace('.', '\\.')));
    await frame.locator('.cost-chart path.series').first().waitFor({ timeout: 60_000 });
    await shotInColours('memory');
  });

  it('tells the layer and the tensors of the step under the pointer', async () => {
    const frame = await timeline();
    const box = await frame.locator('.timeline .overlay').boundingBox();
    await page.mouse.move(box.x + 46 + (box.width - 150) * 0.3, box.y + 200);
    const tooltip = frame.locator('.timeline .tooltip');
    await tooltip.locator('.row', { hasText: 'largest tensors alive' }).waitFor();
    assert.match(await tooltip.innerText(), / · (forward|backward|update) · step \d+/);
    assert.ok((await frame.locator('.tensors tr').count()) > 2);
    await shot('memory-hover-dark');
  });

  it('costs more the lower the budget line is dragged, and refuses what is below the least', async () => {
    const frame = await timeline();
    const handle = frame.locator('.budget rect');
    const drag = async (toY) => {
      const box = await handle.boundingBox();
      await page.mouse.move(box.x + 20, box.y + 17);
      await page.mouse.down();
      for (let i = 1; i <= 6; i++) await page.mouse.move(box.x + 20, box.y + 17 + ((toY - box.y - 17) * i) / 6);
      await page.mouse.up();
    };
    const plot = await frame.locator('.timeline .overlay').boundingBox();
    const bottom = plot.y + 302;
    const handleBox = await handle.boundingBox();
    const whole = policyOf(await memory(), 'auto');
    const at = (bytes) => bottom - ((bottom - handleBox.y - 17) * bytes) / whole.poolBytes;
    await drag(at(0.8 * whole.poolBytes));
    const budget = await frame.locator('#budget').evaluate((field) => field.value);
    const reported = memory('--budget', budget);
    await idle(frame);
    const report = await reported;
    const auto = policyOf(report, 'auto');
    assert.ok(auto.feasible && auto.trafficBytes + auto.recomputations > 0, budget);
    assert.equal(await frame.locator('#traffic').innerText(), auto.trafficBytes === 0 ? '0 B' : size(auto.trafficBytes));
    assert.equal(await frame.locator('#added-time').innerText(), `${(100 * auto.extraFraction).toFixed(1)} %`);
    assert.equal(await frame.locator('#recomputed').innerText(), String(auto.recomputations));
    await shotInColours('memory-budget');
    await setColours('dark', 'more');
    await shot('memory-high-contrast');
    await setColours('dark');
    await page.setViewportSize({ width: 800, height: 900 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await shot('memory-narrow');
    await page.setViewportSize({ width: 1400, height: 900 });
    await frame.locator('.budget').focus();
    await page.keyboard.press('Home');
    await idle(frame);
    // Planning within a budget may come to less than the floor that was looked for before.
    const least = await frame.locator('#budget').evaluate((field) => field.value);
    const lowest = policyOf(await memory('--budget', least), 'auto');
    assert.ok(lowest.feasible && lowest.floorBytes <= whole.floorBytes, least);
    assert.equal(least, size(lowest.floorBytes));
    for (let i = 0; i < 2; i++) await page.keyboard.press('PageDown');
    const notice = frame.locator('.notice.error');
    await notice.waitFor();
    const [, told, layer] = /auto needs at least ([\d.]+ MiB), set by ([\w.]+)\.$/.exec(await notice.innerText()) ?? [];
    assert.ok(Number.parseFloat(told) <= Number.parseFloat(least) && policyOf(await memory('--budget', told), 'auto').feasible, told);
    assert.equal(layer, whole.floorLayer);
    assert.equal(await frame.locator('#floor').innerText(), told);
    assert.equal(await frame.locator('#traffic').innerText(), '–');
    await until(async () => (await frame.locator('.timeline.dimmed').count()) === 1, 'the timeline is that of the least budget');
    await shotInColours('memory-impossible');
  });

  it('finds the largest batch that a budget holds', async () => {
    const frame = await timeline();
    const field = frame.locator('#budget input');
    await field.fill('20MiB');
    await field.press('Enter');
    const reported = memory('--budget', '20MiB', '--largest-batch');
    await idle(frame);
    await frame.locator('#largest-batch').click();
    const { largestBatch } = await reported;
    await until(
      async () => (await frame.locator('#batch').evaluate((f) => f.value)) === String(largestBatch),
      `the batch is ${largestBatch}`,
      60_000,
    );
    await until(async () => (await frame.locator('.timeline.dimmed').count()) === 0, 'the batch fits');
  });

  it('fits a smaller budget with slimmer convolutions when asked to, and says which', async () => {
    const frame = await timeline();
    const fixed = policyOf(await memory(), 'auto').floorBytes;
    const least = policyOf(await memory('--budget', String(fixed), '--workspace', 'dynamic'), 'auto').floorBytes;
    const reported = memory('--budget', String(least));
    await frame.locator('#batch input').fill('64');
    await frame.locator('#batch input').press('Enter');
    await frame.locator('#budget input').fill(String(least));
    await frame.locator('#budget input').press('Enter');
    await frame.locator('.notice.error', { hasText: 'cannot hold a step' }).waitFor({ timeout: 60_000 });
    assert.ok(least < fixed && !policyOf(await reported, 'auto').feasible, `${least} below ${fixed}`);
    await frame.locator('#workspace').click();
    await frame.locator('#workspace vscode-option', { hasText: 'dynamic' }).click();
    await frame.locator('header', { hasText: 'computed in a slimmer way' }).waitFor({ timeout: 60_000 });
    await idle(frame);
    assert.equal(await frame.locator('.timeline.dimmed').count(), 0);
    await frame.locator('.legend', { hasText: 'workspace' }).waitFor();
    await shotInColours('memory-workspace');
    await frame.locator('#workspace').click();
    await frame.locator('#workspace vscode-option', { hasText: 'fixed' }).click();
    await frame.locator('.notice.error', { hasText: 'cannot hold a step' }).waitFor({ timeout: 60_000 });
    await frame.locator('#budget input').fill('');
    await frame.locator('#budget input').press('Enter');
    await idle(frame);
  });

  it('leads to the layer in the model and in the source', async () => {
    let frame = await timeline();
    await frame.locator('#go-to-source').click();
    await page.locator('.tabs-container .tab.active', { hasText: 'model.py' }).waitFor({ timeout: 30_000 });
    await command('Scalpel: Memory Timeline');
    frame = await timeline();
    const layer = await frame.locator('.layer-name').innerText();
    await frame.locator('#show-in-model').click();
    const model = await opened('.layers tbody tr');
    await model.locator('tr.revealed').waitFor();
    assert.equal(await model.locator('tr.revealed').getAttribute('data-layer'), layer);
  });

  it('writes the timeline as JSON, as a trace and as a snapshot of PyTorch', async () => {
    await command('Scalpel: Memory Timeline');
    const frame = await timeline();
    for (const [button, name] of [
      ['#export-json', 'shapes-resnet8.memory.json'],
      ['#export-trace', 'shapes-resnet8.memory-trace.json'],
      ['#export-snapshot', 'shapes-resnet8.memory.pickle'],
    ]) {
      await frame.locator(button).click();
      const proposed = page.locator('.quick-input-widget input.input');
      await until(async () => (await proposed.inputValue().catch(() => '')).endsWith(name), `${name} is proposed`);
      const target = path.join(server.workspace, name);
      await session.chooseFile(target);
      await until(() => existsSync(target), `${name} is there`);
      const bytes = readFileSync(target);
      if (name.endsWith('.pickle')) assert.ok(bytes[0] === 0x80 && bytes.includes('device_traces') && bytes.includes('active_allocated'));
      else {
        const written = JSON.parse(bytes.toString());
        assert.ok((written.timeline ?? written.traceEvents).length > 20);
      }
    }
  });

  it("gives the figures of SuperNeurons' own networks", async () => {
    await session.ask("Scalpel: Memory of SuperNeurons' Own Networks", ['ResNet-101'], ['samples in a step']);
    await page.locator('.view-lines', { hasText: 'AlexNet at batch 200' }).waitFor();
    const { costAware } = scalpel('memory', '--paper', 'alexnet', '--batch', '200');
    const row = page.locator('.view-line', { hasText: 'cost-aware' });
    assert.ok((await row.innerText()).includes(costAware.peakMiB.toFixed(3)));
    await command('View: Revert and Close Editor');
  });

  it('refuses to tune within a budget that cannot be met, before anything is written', async () => {
    await command('Scalpel: Memory Timeline');
    const frame = await timeline();
    await frame.locator('#batch input').fill('64');
    await frame.locator('#batch input').press('Enter');
    await frame.locator('#budget input').fill('8MiB');
    await frame.locator('#budget input').press('Enter');
    const reported = memory('--budget', '8MiB');
    await frame.locator('.notice', { hasText: '8.0 MiB cannot hold a step' }).waitFor();
    await frame.locator('#use').click();
    await frame.locator('.notice', { hasText: 'now runs within 8.0 MiB' }).waitFor();
    await session.ask('Scalpel: Tune with Data', ['Epochs']);
    const { floorBytes, floorLayer } = policyOf(await reported, 'auto');
    const refusal = page
      .locator('.notification-list-item', { hasText: `at least ${size(floorBytes)}, set by layer ${floorLayer}` })
      .first();
    await refusal.waitFor({ timeout: 90_000 });
    assert.ok(!existsSync(path.join(server.workspace, 'shapes-resnet8-tuned.onnx')));
    await shot('memory-refused-dark');
    await refusal.locator('.monaco-button', { hasText: 'Memory Timeline' }).click();
    await page.locator('.tabs-container .tab.active', { hasText: 'Memory' }).waitFor();
  });

  it('shows pool, spill, overlap and step time while a model is tuned within a budget, and what it took in the end', async () => {
    const frame = await timeline();
    await frame.locator('#budget input').fill('40MiB');
    await frame.locator('#budget input').press('Enter');
    const reported = memory('--budget', '40MiB');
    await idle(frame);
    await frame.locator('#use').click();
    await frame.locator('.notice', { hasText: 'now runs within 40.0 MiB' }).waitFor();
    const auto = policyOf(await reported, 'auto');
    await session.ask('Scalpel: Tune with Data', ['Epochs', '2']);
    await frame.locator('#live-pool').waitFor({ timeout: 90_000 });
    assert.equal(await frame.locator('#live-pool').innerText(), size(auto.peakBytes));
    assert.equal(await frame.locator('#live-spill').innerText(), size(auto.spillBytes));
    assert.match(await frame.locator('#live-step').innerText(), /^\d+\.\d\d s$/);
    assert.match(await frame.locator('#live-hidden').innerText(), /^\d+\.\d %$/);
    const curve = frame.locator('.live-pool path.series').last();
    await until(async () => ((await curve.getAttribute('d')) ?? '').split('L').length > 5, 'the pool is drawn within a step');
    await session.openSideBar();
    await page.locator('.monaco-list-row', { hasText: 'Training pool' }).waitFor({ timeout: 60_000 });
    await shotInColours('memory-training');
    const tuned = path.join(server.workspace, 'shapes-resnet8-tuned.onnx');
    await page.locator('.tabs-container .tab.active', { hasText: 'shapes-resnet8-tuned.onnx' }).waitFor({ timeout: 170_000 });
    assert.ok(existsSync(tuned));
    await page.locator('.monaco-list-row', { hasText: 'Tune shapes-resnet8-tuned.onnx' }).first().locator('.monaco-tl-twistie').click();
    await page.locator('.monaco-list-row', { hasText: 'moved a step' }).waitFor();
    await page.locator('.tabs-container .tab', { hasText: 'Memory' }).first().click();
    const ended = await timeline();
    await ended.locator('.live h2', { hasText: 'ended' }).waitFor();
    assert.match(await ended.locator('.live').innerText(), /as planned/);
    await shot('memory-ended-dark');
  });

  it('tells the peak before surgery beside the one after', async () => {
    await page.locator('.tabs-container .tab', { hasText: SAMPLE }).first().click();
    const model = await opened('#compute');
    await model.locator('#compute').click();
    await model.locator('.threshold').waitFor({ timeout: 90_000 });
    await model.locator('.threshold').focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press('PageUp');
    await model.locator('#apply').click();
    await command('Scalpel: Memory Timeline');
    const frame = await timeline();
    await frame.locator('#before').waitFor({ timeout: 60_000 });
    await idle(frame);
    const before = Number.parseFloat(await frame.locator('#before').innerText());
    assert.ok(before > 0);
    await shot('memory-surgery');
  });
});

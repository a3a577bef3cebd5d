import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { openSession, until } from '../session.mjs';

const SAMPLE = 'shapes-resnet8.onnx';
const TUNED = 'shapes-resnet8-anl.onnx';
const DATA = 'generated:shapes?classes=10&size=32&seed=1&count=2400';
describe('noise and robustness in the workbench', () => {
  let session;
  let page;
  let server;
  let command;
  let opened;
  let shot;
  let shotInColours;

  before(async () => {
    session = await openSession();
    ({ page, server, command, opened, shot, shotInColours } = session);
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-noise-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  it('lets a layer take noise from the table of layers, undoably', async () => {
    await command('Scalpel: Open Sample Model');
    const model = await opened('.noise-badge');
    const badge = model.locator('.noise-badge').first();
    assert.equal(await badge.getAttribute('aria-pressed'), 'false');
    await badge.click();
    await until(async () => (await badge.getAttribute('aria-pressed')) === 'true', 'the badge is on');
    assert.equal(await model.locator('.noise-badge[aria-pressed="true"]').count(), 1);
    await badge.scrollIntoViewIfNeeded();
    await shotInColours('noise-badges');
    await page.locator('.tabs-container .tab', { hasText: SAMPLE }).click();
    await page.keyboard.press('Control+z');
    await until(async () => (await badge.getAttribute('aria-pressed')) === 'false', 'undo takes the noise out of the plan');
  });

  it("tunes a copy with noise and shows each layer's while it trains", async () => {
    await command('Scalpel: Noise and Robustness');
    const noise = await opened('.layer-choice input');
    assert.ok((await noise.locator('.layer-choice input:checked').count()) >= 3);
    await noise.locator('#data input').fill(DATA);
    await noise.locator('#epochs input').fill('1');
    await noise.locator('#train').click();
    await noise.locator('.noise-chart path.series').first().waitFor({ timeout: 90_000 });
    await shot('noise-training-dark');
    await until(async () => /^Wrote/.test(await noise.locator('.notice').innerText()), 'the copy is tuned', 180_000);
    assert.ok(existsSync(path.join(server.workspace, TUNED)));
  });

  it('draws accuracy against the radius for the file and the tuned copy', async () => {
    const noise = await opened('.layer-choice input');
    await noise.locator('#samples input').fill('100');
    await noise.locator('#measure').click();
    await noise.locator('.robustness-chart path.series').first().waitFor({ timeout: 120_000 });
    assert.equal(await noise.locator('.robustness-chart path.series:not(.dashed)').count(), 2);
    assert.equal(await noise.locator('.robustness-chart path.series.dashed').count(), 2);
    const fill = await noise
      .locator('.robustness-chart path.series')
      .first()
      .evaluate((path) => getComputedStyle(path).fill);
    assert.equal(fill, 'none', 'the page has its styles');
    await noise.locator('.robustness-chart').scrollIntoViewIfNeeded();
    await shotInColours('robustness');
  });

  it('shows feature maps with and without noise side by side', async () => {
    const noise = await opened('.layer-choice input');
    await noise.locator('#show').click();
    await noise.locator('canvas.map').first().waitFor({ timeout: 60_000 });
    assert.equal(await noise.locator('figure.maps').count(), 2);
    assert.equal(await noise.locator('canvas.map').count(), 2 * 3 * 8);
    await noise.locator('.all-maps').scrollIntoViewIfNeeded();
    await noise.locator('figure.maps').last().scrollIntoViewIfNeeded();
    await shotInColours('feature-maps');
  });

  it('says what is wrong with a setting', async () => {
    const noise = await opened('.layer-choice input');
    await noise.locator('#sample input').fill('1000000');
    await noise.locator('#show').click();
    const notice = noise.locator('.notice.error');
    await notice.waitFor({ timeout: 30_000 });
    assert.match(await notice.innerText(), /There is no test image 1000000/);
  });
});

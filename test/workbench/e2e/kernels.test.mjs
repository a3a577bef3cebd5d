import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { openSession, until } from '../session.mjs';

describe('kernels of this machine', () => {
  let session;
  let page;
  let table;

  before(async () => {
    session = await openSession({
      settings: { 'scalpel.calibration': 'offer', 'scalpel.data': 'generated:shapes?classes=10&size=32&seed=1&count=200' },
    });
    page = session.page;
    table = path.join(session.server.data, 'cache/scalpel/kernels.json');
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-kernels-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  const notification = (text) => page.locator('.notification-list-item', { hasText: text });
  const kernels = () => page.locator('.monaco-list-row[aria-label^="Kernels"]');

  const offer = () => notification('Training may become faster');

  async function tune() {
    await session.ask('Scalpel: Tune with Data', ['Epochs', '1']);
  }

  it('are timed with progress when the offer after a training is taken, until the button is pressed, and then nothing is kept', async () => {
    await session.command('Scalpel: Focus on Engine View');
    await kernels().filter({ hasText: 'built-in choices' }).waitFor({ timeout: 60_000 });
    await session.command('Scalpel: Open Sample Model');
    await page.locator('.tabs-container .tab.active', { hasText: 'shapes-resnet8.onnx' }).waitFor({ timeout: 60_000 });
    assert.equal(await offer().count(), 0);
    await tune();
    await offer().waitFor({ timeout: 120_000 });
    await session.shot('calibration-offer');
    await offer().getByRole('button', { name: 'Calibrate Kernels' }).click();
    const progress = notification(/Calibrate Kernels: \d+ of \d+ shapes/);
    await progress.waitFor({ timeout: 60_000 });
    await session.shot('calibration-progress');
    await progress.hover();
    await progress.getByRole('button', { name: 'Cancel' }).click();
    await progress.waitFor({ state: 'detached', timeout: 30_000 });
    assert.equal(existsSync(table), false);
  });

  it('are not offered again once the answer was never', async () => {
    await tune();
    await offer().getByRole('button', { name: 'Never' }).click({ timeout: 120_000 });
    const settings = path.join(session.server.data, 'data/Machine/settings.json');
    await until(
      () => existsSync(settings) && JSON.parse(readFileSync(settings, 'utf8'))['scalpel.calibration'] === 'never',
      'the answer is kept',
    );
    const runs = () => page.locator('.monaco-list-row[aria-label*="after 1 epochs"]').count();
    const before = await runs();
    await tune();
    await until(async () => (await runs()) > before, 'another training has ended', 120_000);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(await offer().count(), 0);
  });

  it('are timed on request, told in a sentence and shown as a table', async () => {
    await session.command('Scalpel: Calibrate Kernels');
    const result = notification(/Kernels measured in \d+ s: \d+ of \d+ choices differ from the built-in ones/);
    await result.waitFor({ timeout: 150_000 });
    assert.ok(existsSync(table));
    await kernels().filter({ hasText: 'as measured on this machine' }).waitFor({ timeout: 30_000 });
    await session.shot('calibration-result');
    await result.getByRole('button', { name: 'Show Table' }).click();
    await page.locator('.view-lines', { hasText: 'Kernels of onnxruntime' }).waitFor({ timeout: 30_000 });
    await until(async () => (await page.locator('.view-line', { hasText: '3x3, stride 1' }).count()) > 0, 'the table is there');
  });
});

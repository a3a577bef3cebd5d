import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openSession, until } from '../session.mjs';

describe('kernels of this machine', () => {
  let session;
  let page;
  let table;

  before(async () => {
    session = await openSession({
      settings: { 'scalpel.calibration': 'offer', 'scalpel.data': 'generated:shapes?classes=10&size=32&seed=1' },
    });
    page = session.page;
    table = path.join(session.server.data, 'cache/scalpel/kernels.json');
  });

  after(() => session?.close());

  const notification = (text) => page.locator('.notification-list-item', { hasText: text });
  const kernels = () => page.locator('.monaco-list-row[aria-label^="Kernels"]');

  it('are timed with progress until the button is pressed, and then nothing is kept', async () => {
    await session.command('Scalpel: Focus on Engine View');
    await kernels().filter({ hasText: 'built-in choices' }).waitFor({ timeout: 60_000 });
    await session.command('Scalpel: Calibrate Kernels');
    const progress = notification(/Calibrate Kernels: \d+ of \d+ shapes/);
    await progress.waitFor({ timeout: 60_000 });
    await session.shot('calibration-progress');
    await progress.hover();
    await progress.getByRole('button', { name: 'Cancel' }).click();
    await progress.waitFor({ state: 'detached', timeout: 30_000 });
    assert.equal(existsSync(table), false);
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

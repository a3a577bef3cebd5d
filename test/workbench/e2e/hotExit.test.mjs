import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { openSession, scalpel, until } from '../session.mjs';

const SAMPLE = 'shapes-resnet8.onnx';

describe('hot exit in the workbench', () => {
  let session;
  let page;

  before(async () => {
    session = await openSession({ settings: { 'scalpel.criterion': 'l1', 'files.autoSave': 'off' } });
    page = session.page;
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-hot-exit-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  async function macs() {
    const frame = await session.opened('.overview .figure');
    return frame.locator('.overview .figure', { hasText: 'MACs' }).locator('dd').innerText();
  }

  /** Whether the workbench has noted that it can restore the editor: a reload before that asks whether to leave. */
  function isBackedUp() {
    const backups = path.join(session.server.data, 'data/User/Backups');
    if (!existsSync(backups)) return false;
    const entries = readdirSync(backups, { recursive: true, withFileTypes: true });
    return entries.some(
      (e) => e.isFile() && /"viewType":"scalpel.model".*"backupId":"[^"]/s.test(readFileSync(path.join(e.parentPath, e.name), 'utf8')),
    );
  }

  it('brings unsaved edits of a model back after the window was loaded anew', async () => {
    await session.command('Scalpel: Open Sample Model');
    const whole = await macs();
    await session.ask('Scalpel: Prune to a Budget', ['Percentage of the MACs']);
    await until(async () => (await macs()) !== whole, 'the cut is made', 60_000);
    const cut = await macs();
    await until(isBackedUp, 'the editor can be restored');
    // In a browser the workbench notes every five seconds which editors are open, with their backups.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await session.load();
    await until(async () => (await macs()) === cut, 'the cut is back', 60_000);
    await page.locator('.tabs-container .tab.dirty', { hasText: SAMPLE }).waitFor();
    const { totals } = scalpel('inspect', path.join(session.server.workspace, SAMPLE));
    assert.equal(`${(totals.macs / 1e6).toPrecision(3)} M`, whole, 'the file is as it was');
    await session.command('File: Revert File');
    await until(async () => (await macs()) === whole, 'the saved model is shown again');
  });
});

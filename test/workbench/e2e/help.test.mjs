import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { root } from '../../../tools/install.mjs';
import { openBrowser, startServer } from '../workbench.mjs';

const shots = path.join(root, 'out/screenshots');

describe('help for people and language models', () => {
  let server;
  let browser;
  let page;

  before(async () => {
    mkdirSync(shots, { recursive: true });
    server = await startServer({ extensions: ['probe'] });
    browser = await openBrowser(process.env.CHROMIUM);
    page = browser.page;
    await page.goto(server.url, { waitUntil: 'domcontentloaded' });
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').waitFor({ timeout: 90_000 });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  async function command(name) {
    await page.keyboard.press('F1');
    const input = page.locator('.quick-input-widget input.input');
    await input.waitFor();
    await input.fill(`>${name}`);
    await page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().waitFor({ timeout: 30_000 });
    await page.keyboard.press('Enter');
    await page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  }

  it('walks a newcomer from opening to verifying', async () => {
    await command('Scalpel: Get Started');
    const steps = page.locator('.getting-started-step .step-title');
    await steps.first().waitFor({ timeout: 30_000 });
    assert.deepEqual(await steps.allInnerTexts(), [
      'Open a model',
      'See which filters matter',
      'Cut, and undo',
      'Tune with your data',
      'Verify',
    ]);
    const media = page.frameLocator('iframe.webview').last().frameLocator('iframe#active-frame');
    await media.getByText('What you see').waitFor({ timeout: 30_000 });
    await page.screenshot({ path: path.join(shots, 'walkthrough.png') });
    await page.locator('.getting-started-step', { hasText: 'Open a model' }).getByRole('button', { name: 'Open Sample Model' }).click();
    await page.locator('.tab', { hasText: 'shapes-resnet8.onnx' }).waitFor({ timeout: 30_000 });
  });

  it('answers tools about the open model and its memory', async () => {
    await page.frameLocator('iframe.webview').last().frameLocator('iframe#active-frame').locator('.overview .figure').first().waitFor();
    await command('Probe: Call Tools');
    const file = path.join(server.workspace, 'tools.json');
    for (let i = 0; i < 300 && !existsSync(file); i++) await page.waitForTimeout(100);
    const { scalpel_inspect: model, scalpel_memory: memory } = JSON.parse(readFileSync(file, 'utf8'));
    assert.match(model, /^ONNX opset \d+.* parameters, .* MACs for one sample/);
    assert.match(model, /conv1, Conv, .*16x32x32/);
    assert.match(memory, /^offload: the budget does not hold it; floor .* \(layer.+\)$/m);
    assert.match(memory, /^none: the budget does not hold it; floor .* MiB$/m);
  });
});

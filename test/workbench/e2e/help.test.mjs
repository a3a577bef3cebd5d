import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openSession, until } from '../session.mjs';

describe('help for people and language models', () => {
  let session;
  let page;
  let server;
  let command;
  let shot;

  before(async () => {
    session = await openSession({ extensions: ['probe'] });
    ({ page, server, command, shot } = session);
  });

  after(() => session?.close());

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
    await shot('walkthrough');
    await page.locator('.getting-started-step', { hasText: 'Open a model' }).getByRole('button', { name: 'Open Sample Model' }).click();
    await page.locator('.tab', { hasText: 'shapes-resnet8.onnx' }).waitFor({ timeout: 30_000 });
  });

  it('answers tools about the open model and its memory', async () => {
    await page.frameLocator('iframe.webview').last().frameLocator('iframe#active-frame').locator('.overview .figure').first().waitFor();
    await command('Probe: Call Tools');
    const file = path.join(server.workspace, 'tools.json');
    await until(() => existsSync(file), 'the answers are there');
    const { scalpel_inspect: model, scalpel_memory: memory } = JSON.parse(readFileSync(file, 'utf8'));
    assert.match(model, /^ONNX opset \d+.* parameters, .* MACs for one sample/);
    assert.match(model, /conv1, Conv, .*16x32x32/);
    assert.match(memory, /^offload: the budget does not hold it; floor .* \(layer.+\)$/m);
    assert.match(memory, /^none: the budget does not hold it; floor .* MiB$/m);
  });
});

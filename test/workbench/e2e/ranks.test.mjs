import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { openSession, scalpel, until } from '../session.mjs';

const MODEL = 'lstm.onnx';
const INPUTS = 64;
const HIDDEN = 32;
const SOURCE = `import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(${INPUTS}, ${HIDDEN}, batch_first=True)
        self.fc = nn.Linear(${HIDDEN}, 6)

    def forward(self, x):
        y, _ = self.lstm(x)
        return self.fc(y[:, -1])
`;
describe('block-term ranks in the workbench', () => {
  let session;
  let page;
  let server;
  let command;
  let opened;
  let shot;
  let shotInColours;
  const file = () => path.join(server.workspace, MODEL);
  const parameters = () => scalpel('inspect', file()).totals.parameters;

  before(async () => {
    session = await openSession({
      prepare(workspace) {
        const model = path.join(workspace, MODEL);
        scalpel('create', 'lstm', '--input', `8,${INPUTS}`, '--classes', '6', '--hidden', String(HIDDEN), '--seed', '1', '-o', model);
        writeFileSync(path.join(workspace, 'classifier.py'), SOURCE);
      },
    });
    ({ page, server, command, opened, shot, shotInColours } = session);
  });

  after(() => session?.close());

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await session?.shot(`failed-ranks-${this.currentTest.title.replace(/\W+/g, '-')}`);
  });

  const ranks = () => opened('.layer-list');
  const figure = async (id) => (await ranks()).locator(`#${id}`).innerText();

  it('lists the layers that can be replaced, the largest first to be looked at', async () => {
    await command('View: Show Explorer');
    await page.locator('.explorer-folders-view .monaco-list-row', { hasText: MODEL }).dblclick();
    await opened('.overview .figure');
    await command('Scalpel: Choose Block-Term Ranks');
    const view = await ranks();
    await view.locator('.item[data-layer="lstm"][aria-selected="true"]').waitFor({ timeout: 30_000 });
    assert.equal(await view.locator('.item').count(), 2);
    assert.match(await view.locator('.layer-facts').innerText(), /64 → 128 \(4 gates of 32\)/);
    await page.locator('.tabs-container .tab', { hasText: MODEL }).first().click();
    const model = await opened('.rank-button');
    await model.locator('tr[data-layer="fc"] .rank-button').click();
    await view.locator('.item[data-layer="fc"][aria-selected="true"]').waitFor({ timeout: 30_000 });
    await view.locator('.item[data-layer="lstm"]').click();
  });

  it('tells what is wrong with a shape, and what a right one costs', async () => {
    const view = await ranks();
    const fill = (id, text) => view.locator(`#${id} input`).fill(text);
    await fill('input-modes', '4, four');
    assert.match(await view.locator('.problem').innerText(), /“4, four” is not a list of whole numbers/);
    await fill('input-modes', '4, 4, 4');
    await fill('output-modes', '2, 4, 2');
    await fill('ranks', '3');
    await fill('blocks', '2');
    await until(async () => /too small for layer lstm/.test(await view.locator('.problem').innerText()), 'the modes are refused');
    await fill('output-modes', '2, 4, 4');
    await until(async () => (await view.locator('#choice-parameters').count()) > 0, 'the cost is told');
    const cost = scalpel('ranks', '--input-modes', '4,4,4', '--output-modes', '8,4,4', '--rank', '3', '--blocks', '2');
    assert.equal(await figure('choice-parameters'), String(cost.parameters));
    assert.equal(await view.locator('.diagram text.box-size').count(), 4);
  });

  it('finds candidates in the background, with their spectrum', async () => {
    const view = await ranks();
    await view.locator('#find').click();
    await view.locator('.trade-off .mark[data-form]').first().waitFor({ timeout: 60_000 });
    await until(async () => (await view.locator('.verdict').innerText()) !== '', 'all candidates are there', 180_000);
    for (const form of ['block-term', 'tucker', 'svd', 'tensor-train'])
      assert.ok((await view.locator(`.trade-off > svg .mark[data-form="${form}"]`).count()) > 0, form);
    assert.equal(await view.locator('.spectrum rect.singular').count(), 48);
    assert.match(await view.locator('.verdict').innerText(), /flat spectrum/);
    await shotInColours('ranks');
    await page.setViewportSize({ width: 980, height: 900 });
    await shotInColours('ranks-narrow');
    await page.setViewportSize({ width: 1400, height: 900 });
    await view.locator('.chosen').scrollIntoViewIfNeeded();
    await view.locator('.share-bar').scrollIntoViewIfNeeded();
    await shotInColours('ranks-choice');
  });

  it('lets the arrow keys choose, across parameters, MACs or time', async () => {
    const view = await ranks();
    const before = await view.locator('.choice-title').innerText();
    await view.locator('.trade-off > svg').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await view.locator('.choice-title').innerText(), before);
    await view.locator('#measure').click();
    await view.locator('#measure vscode-option', { hasText: 'Milliseconds' }).click();
    await until(async () => /Milliseconds/.test(await view.locator('.trade-off > svg').textContent()), 'the axis is time');
  });

  it('cancels a search', async () => {
    const view = await ranks();
    await view.locator('#batch input').fill('2');
    await view.locator('#find').click();
    await view.locator('#cancel').click();
    await until(async () => /^Cancelled/.test(await view.locator('.detail .notice').innerText()), 'it is cancelled', 60_000);
  });

  /** The lens over the decomposed layer writes its class and constructor, after a preview. */
  async function writeSource() {
    await page.keyboard.press('Control+p');
    await page.locator('.quick-input-widget input.input').fill('classifier.py');
    await page.locator('.quick-input-list .monaco-list-row', { hasText: 'classifier.py' }).first().waitFor();
    await page.keyboard.press('Enter');
    await page
      .locator('.codelens-decoration', { hasText: /Block-Term error \d+ % at \d.*× fewer/ })
      .first()
      .waitFor({ timeout: 60_000 });
    await shotInColours('ranks-lenses');
    await page.locator('.codelens-decoration a', { hasText: 'block-term form in the plan' }).first().click();
    const preview = page.locator('.refactor-preview, .bulk-edit-panel').first();
    await preview.waitFor({ timeout: 30_000 });
    await shotInColours('ranks-source-preview');
    await preview.getByRole('button', { name: 'Apply' }).click();
    await page.locator('.tabs-container .tab', { hasText: 'classifier.py' }).click();
    await page.keyboard.press('Control+s');
    const text = () => readFileSync(path.join(server.workspace, 'classifier.py'), 'utf8');
    await until(() => Promise.resolve(/class BlockTermLSTM\(/.test(text())), 'the class is written', 60_000);
    assert.match(text(), /self\.lstm = BlockTermLSTM\(64, 32, input_modes=\(4, 4, 4\), output_modes=\(8, 4, 4\)/);
  }

  it('finds forms of all layers under one budget, tells what they do, and applies them as one edit', async () => {
    const view = await ranks();
    const section = view.locator('.network-budget');
    await section.locator('#find-forms').click();
    await until(async () => /^Data: say where/.test(await section.locator('.notice').innerText()), 'data is asked for');
    await section.locator('#budget-data input').fill('generated:motions?classes=6&size=8&frames=8&count=240&seed=1');
    await section.locator('#budget-kept input').fill('40');
    await section.locator('#find-forms').click();
    await section.locator('tbody tr[data-layer="lstm"]').waitFor({ timeout: 120_000 });
    const [, left] = /([\d.]+) % of/.exec(await section.locator('.budget-result .figure', { hasText: 'Parameters' }).innerText()) ?? [];
    assert.ok(Number(left) > 0 && Number(left) <= 40, `${left} % of the parameters`);
    await section.scrollIntoViewIfNeeded();
    await shotInColours('ranks-budget');
    await section.locator('#apply-forms').click();
    await until(async () => /in the plan/.test(await view.locator('.item[data-layer="lstm"]').innerText()), 'the plan has it', 60_000);
    await page.locator('.tabs-container .tab', { hasText: MODEL }).first().click();
    await page.keyboard.press('Control+z');
    await page.locator('.tabs-container .tab', { hasText: 'Ranks' }).click();
    await until(async () => !/in the plan/.test(await view.locator('.layer-list').innerText()), 'one undo takes all of them back', 60_000);
  });

  it('applies a choice as an undoable edit; the saved file has fewer parameters', async () => {
    const view = await ranks();
    const whole = parameters();
    const fill = (id, text) => view.locator(`#${id} input`).fill(text);
    for (const [id, text] of Object.entries({ 'input-modes': '4, 4, 4', 'output-modes': '8, 4, 4', ranks: '3', blocks: '2' })) await fill(id, text); // prettier-ignore
    await until(async () => !(await view.locator('#apply').evaluate((button) => button.disabled)), 'it can be applied');
    const saved = INPUTS * 4 * HIDDEN - Number(await figure('choice-parameters'));
    await view.locator('#apply').click();
    await until(async () => /in the plan/.test(await view.locator('.item[data-layer="lstm"]').innerText()), 'the plan has it', 60_000);
    await command('Scalpel: Focus on Surgery Plan View');
    await page.locator('.pane .monaco-list-row', { hasText: 'Block-term lstm, rank 3, 3, 3' }).waitFor({ timeout: 20_000 });
    await shotInColours('ranks-applied');
    await writeSource();
    await page.locator('.tabs-container .tab', { hasText: MODEL }).first().click();
    await page.keyboard.press('Control+s');
    await until(() => Promise.resolve(parameters() === whole - saved), 'the file is saved', 60_000);
    await page.keyboard.press('Control+z');
    await page.locator('.pane .monaco-list-row', { hasText: 'Block-term lstm, rank' }).waitFor({ state: 'detached', timeout: 20_000 });
    await page.keyboard.press('Control+s');
    await until(() => Promise.resolve(parameters() === whole), 'undo restores the layer', 60_000);
  });
});

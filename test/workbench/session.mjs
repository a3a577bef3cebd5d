/** A workbench in a browser with what every end-to-end test does in it. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { root } from '../../tools/install.mjs';
import { openBrowser, startServer } from './workbench.mjs';

const shots = path.join(root, 'out/screenshots');

const commandLine = (args) => [path.join(root, 'dist/cli.js'), ...args, '--json'];

/** What the command line answers as JSON. */
export const scalpel = (...args) =>
  JSON.parse(execFileSync(process.execPath, commandLine(args), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));

/** The same, while the workbench goes on. */
export const scalpelMeanwhile = async (...args) =>
  JSON.parse((await promisify(execFile)(process.execPath, commandLine(args), { maxBuffer: 1 << 28 })).stdout);

export async function until(check, what, timeout = 30_000) {
  const start = Date.now();
  for (;;) {
    if (await check()) return;
    if (Date.now() - start > timeout) throw new Error(`Timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/**
 * Opens the workbench on a new workspace and waits until the extension is there. `prepare` puts files into the folder of the workspace
 * before the workbench lists them.
 */
export async function openSession({ prepare, ...options } = {}) {
  mkdirSync(shots, { recursive: true });
  const server = await startServer(options);
  prepare?.(server.workspace);
  const browser = await openBrowser(process.env.CHROMIUM).catch(async (error) => {
    await server.stop();
    throw error;
  });
  const { page } = browser;

  async function load() {
    await page.goto(server.url, { waitUntil: 'domcontentloaded' });
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').waitFor({ timeout: 90_000 });
  }
  await load();

  const quickInput = page.locator('.quick-input-widget');

  /** Tries until it works: a page that loads takes the focus, which closes the quick input. */
  const persistently = (act, what) =>
    until(
      () =>
        act().then(
          () => true,
          () => page.keyboard.press('Escape').then(() => false),
        ),
      what,
      90_000,
    );

  /** Chooses in the quick input that a key opens; another may open at once. */
  const choose = (key, text) =>
    persistently(async () => {
      await page.keyboard.press(key);
      const input = quickInput.locator('input.input');
      await input.waitFor({ timeout: 5000 });
      await input.fill(text, { timeout: 2000 });
      const row = page.locator('.quick-input-list .monaco-list-row', { hasText: text.replace(/^>/, '') }).first();
      await row.waitFor({ timeout: 20_000 });
      await input.press('Enter', { timeout: 2000 });
    }, `${text} is chosen`);

  async function pick(key, text) {
    await choose(key, text);
    await quickInput.waitFor({ state: 'hidden' });
  }

  /** The pointer moves on, or its hover would lie over the first rows. */
  async function openSideBar() {
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').click();
    await page.mouse.move(700, 10);
  }

  /** Runs a command and answers what it asks one after the other: `[prompt, value]`, or `[prompt]` to take what is proposed. */
  const ask = (command, ...questions) =>
    persistently(async () => {
      await choose('F1', `>${command}`);
      for (const [prompt, value] of questions) {
        const box = page.locator('.quick-input-widget', { hasText: prompt });
        await box.waitFor({ timeout: 20_000 });
        const input = box.locator('input.input');
        if (value !== undefined) await input.fill(value, { timeout: 2000 });
        await input.press('Enter', { timeout: 2000 });
        await box.waitFor({ state: 'hidden', timeout: 5000 });
      }
    }, `${command} is answered`);

  /** Names a file in the dialog that is open. Enter does nothing while the dialog still looks the path up. */
  async function chooseFile(file) {
    const name = quickInput.locator('input.input');
    await until(async () => (await name.inputValue().catch(() => '')) !== '', 'the dialog shows a folder');
    await until(async () => {
      await name.fill(file, { timeout: 1000 }).catch(() => undefined);
      await name.press('Enter', { timeout: 1000 }).catch(() => undefined);
      return quickInput.waitFor({ state: 'hidden', timeout: 2000 }).then(
        () => true,
        () => false,
      );
    }, `the dialog takes ${file}`);
  }

  /** The page that has such an element; hidden pages stay in the document. */
  async function pageWith(selector) {
    const count = await page.locator('iframe.webview').count();
    for (let i = 0; i < count; i++) {
      const frame = page.frameLocator('iframe.webview').nth(i).frameLocator('iframe#active-frame');
      const found = await frame
        .locator(selector)
        .count()
        .catch(() => 0);
      if (found > 0) return frame;
    }
    return undefined;
  }

  const shot = (name) => page.screenshot({ path: path.join(shots, `${name}.png`) });

  /** The workbench follows the system's colours. */
  async function setColours(colorScheme, contrast = 'no-preference') {
    await page.emulateMedia({ colorScheme, contrast, forcedColors: contrast === 'more' ? 'active' : 'none' });
    const dark = contrast === 'more' ? /hc-black/ : /vs-dark/;
    const type = colorScheme === 'light' ? /(^| )vs( |$)/ : dark;
    await until(
      async () => type.test((await page.locator('.monaco-workbench').first().getAttribute('class')) ?? ''),
      `the colours are ${colorScheme}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 700));
  }

  return {
    page,
    server,
    load,
    pick,
    shot,
    setColours,
    ask,
    chooseFile,
    openSideBar,
    command: (name) => pick('F1', `>${name}`),
    async opened(selector, timeout = 60_000) {
      let frame;
      await until(async () => (frame = await pageWith(selector)) !== undefined, `a page with ${selector} is there`, timeout);
      return frame;
    },
    async shotInColours(name) {
      for (const colours of ['light', 'dark']) {
        await setColours(colours);
        await shot(`${name}-${colours}`);
      }
    },
    async close() {
      await browser.close();
      await server.stop();
    },
  };
}

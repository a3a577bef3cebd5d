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

  /** Chooses in the quick input that a key opens; another may open at once. */
  async function choose(key, text) {
    await page.keyboard.press(key);
    const input = page.locator('.quick-input-widget input.input');
    await input.waitFor();
    await input.fill(text);
    const row = text.replace(/^>/, '');
    await page.locator('.quick-input-list .monaco-list-row', { hasText: row }).first().waitFor({ timeout: 30_000 });
    await page.keyboard.press('Enter');
  }

  async function pick(key, text) {
    await choose(key, text);
    await page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  }

  /** The pointer moves on, or its hover would lie over the first rows. */
  async function openSideBar() {
    await page.locator('.activitybar .action-item a[aria-label^="Scalpel"]').click();
    await page.mouse.move(700, 10);
  }

  /** Names a file in the dialog that is open. Enter does nothing while the dialog still looks the path up. */
  async function chooseFile(file) {
    const dialog = page.locator('.quick-input-widget');
    const name = dialog.locator('input.input');
    await until(async () => (await name.inputValue().catch(() => '')) !== '', 'the dialog shows a folder');
    await until(async () => {
      await name.fill(file, { timeout: 1000 }).catch(() => undefined);
      await name.press('Enter', { timeout: 1000 }).catch(() => undefined);
      return dialog.waitFor({ state: 'hidden', timeout: 2000 }).then(
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
    chooseFile,
    openSideBar,
    command: (name) => pick('F1', `>${name}`),
    startCommand: (name) => choose('F1', `>${name}`),
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

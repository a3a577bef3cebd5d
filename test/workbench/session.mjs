/** A workbench in a browser with what every end-to-end test does in it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../tools/install.mjs';
import { openBrowser, startServer } from './workbench.mjs';

const shots = path.join(root, 'out/screenshots');

/** What the command line answers as JSON. */
export const scalpel = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [path.join(root, 'dist/cli.js'), ...args, '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );

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
  const browser = await openBrowser(process.env.CHROMIUM);
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

/** What a move of the model page's threshold costs with 50,000 filters: counting in Node, and whole frames in a browser. */
import { pathToFileURL } from 'node:url';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ImportanceReport } from '../../engine/contract/models';
import type { ModelState } from '../../engine/contract/page';
import { Threshold } from '../../webview/model/threshold';

const GROUPS = 200;
const CHANNELS = 250;
const MOVES = 240;
const root = path.join(__dirname, '../..');

/** Scores from a fixed sequence, spread over four decades. */
function report(): ImportanceReport {
  let state = 1;
  const random = (): number => (state = (state * 16807) % 2147483647) / 2147483647;
  const groups = Array.from({ length: GROUPS }, (_, g) => {
    const scores = Array.from({ length: CHANNELS }, () => 10 ** (-4 * random()));
    return { id: `layer${g}`, layers: [`layer${g}`], scores, lossChange: scores };
  });
  return { criterion: 'gate-taylor', batches: 1, loss: 1, totals: { parameters: 1, macs: 1, activationBytes: 1 }, groups };
}

const quantiles = (times: number[]): string => {
  times.sort((a, b) => a - b);
  const at = (q: number): string => (times[Math.floor(q * (times.length - 1))] ?? NaN).toFixed(2);
  return `median ${at(0.5)} ms, 95 % below ${at(0.95)} ms, longest ${at(1)} ms`;
};

/** A hand that sweeps to and fro. */
const sweep = (move: number): number => Math.round(GROUPS * CHANNELS * (0.5 + 0.45 * Math.sin(move / 9)));

function countInNode(): void {
  const start = performance.now();
  const threshold = new Threshold(report(), new Set());
  const built = performance.now() - start;
  const times = Array.from({ length: MOVES }, (_, move) => {
    const before = performance.now();
    threshold.moveTo(sweep(move));
    return performance.now() - before;
  });
  process.stdout.write(`Node, sorting ${GROUPS * CHANNELS} filters: ${built.toFixed(0)} ms; counting a move: ${quantiles(times)}\n`);
}

function state(): ModelState {
  const importance = report();
  const groups = importance.groups.map((g) => ({ ...g, channels: CHANNELS, macsPerChannel: 1, parametersPerChannel: 1 }));
  const totals = { parameters: 5e6, macs: 5e8, activationBytes: 1e6 };
  const summary = { path: '', hash: '', bytes: 1, format: 'ONNX', opset: 17, inputs: [], outputs: [], layers: [], totals, groups };
  return {
    file: 'large.onnx',
    summary: { ...summary, locked: [], unsupported: [], noiseLayers: [] },
    original: { ...totals, bytes: 1 },
    operations: [],
    importance,
    locked: [],
    data: '',
    criterion: 'gate-taylor',
  };
}

interface Page {
  setViewportSize(size: { width: number; height: number }): Promise<void>;
  goto(url: string): Promise<unknown>;
  waitForSelector(selector: string, options: { state: string }): Promise<unknown>;
  evaluate<T>(code: string): Promise<T>;
  context(): { newCDPSession(page: Page): Promise<DevTools> };
}

interface DevTools {
  send(method: string, params?: object): Promise<{ metrics?: { name: string; value: number }[] }>;
}

/** Seconds of processor time that the page's main thread has spent, by kind of work. */
async function threadSeconds(tools: DevTools): Promise<Map<string, number>> {
  const { metrics = [] } = await tools.send('Performance.getMetrics');
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

/** Moves the threshold by its own pointer events and times from each event to the end of its frame. */
async function framesInBrowser(): Promise<void> {
  const { openBrowser } = (await import(pathToFileURL(path.join(root, 'test/workbench/workbench.mjs')).href)) as {
    openBrowser: (executable: string | undefined) => Promise<{ page: Page; close(): Promise<void> }>;
  };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-threshold-'));
  const browser = await openBrowser(process.env.CHROMIUM ?? '/usr/bin/chromium');
  try {
    const dist = pathToFileURL(path.join(root, 'dist/webview')).href;
    const message = JSON.stringify({ jsonrpc: '2.0', method: 'state', params: state() });
    const html = `<!DOCTYPE html><meta charset="utf-8"><link rel="stylesheet" href="${dist}/model.css"><body><main id="page"></main>
<script>window.acquireVsCodeApi = () => ({ postMessage: (m) => { if (m.method === 'ready') window.postMessage(${message}, '*'); }, getState() {}, setState() {} });</script>
<script src="${dist}/model.js"></script>`;
    writeFileSync(path.join(folder, 'page.html'), html);
    await browser.page.setViewportSize({ width: 1200, height: 900 });
    await browser.page.goto(pathToFileURL(path.join(folder, 'page.html')).href);
    await browser.page.waitForSelector('.group-card:last-child .bars[aria-label]', { state: 'attached' });
    const tools = await browser.page.context().newCDPSession(browser.page);
    await tools.send('Performance.setTimeDomain', { timeDomain: 'threadTicks' });
    await tools.send('Performance.enable');
    const before = await threadSeconds(tools);
    const times = await browser.page.evaluate<{ script: number[]; frame: number[] }>(`(async () => {
      const svg = document.querySelector('svg.ranking');
      const { left, top, width } = svg.getBoundingClientRect();
      svg.setPointerCapture = () => {};
      svg.hasPointerCapture = () => true;
      const send = (type, x) => svg.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: top + 60, pointerId: 1, bubbles: true }));
      send('pointerdown', left + 60);
      const [script, frame] = [[], []];
      for (let move = 0; move < ${MOVES}; move++) {
        send('pointermove', left + 52 + (width - 64) * (0.5 + 0.45 * Math.sin(move / 9)));
        await new Promise((done) => requestAnimationFrame((start) => {
          const begun = performance.now();
          script.push(begun - start);
          const channel = new MessageChannel();
          channel.port1.onmessage = () => { frame.push(performance.now() - start); done(); };
          channel.port2.postMessage(0);
        }));
      }
      return { script, frame };
    })()`);
    const after = await threadSeconds(tools);
    const spent = (name: string): string => ((1000 * ((after.get(name) ?? 0) - (before.get(name) ?? 0))) / MOVES).toFixed(2);
    process.stdout.write(
      `browser, processor time of the main thread a frame: ${spent('TaskDuration')} ms (script ${spent('ScriptDuration')}, style ${spent('RecalcStyleDuration')}, layout ${spent('LayoutDuration')})\n`,
    );
    process.stdout.write(`browser, script of a frame: ${quantiles(times.script)}\n`);
    process.stdout.write(`browser, script, style, layout and paint of a frame: ${quantiles(times.frame)}\n`);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true });
  }
}

countInNode();
void framesInBrowser();

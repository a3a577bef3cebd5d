/** What a move of the model page's threshold costs with 50,000 filters: counting in Node, and whole frames in a browser. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
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

interface TraceEvent {
  readonly name: string;
  /** Microseconds of the clock and of the thread's processor time. */
  readonly dur?: number;
  readonly tdur?: number;
}

interface Page {
  goto(url: string): Promise<unknown>;
  waitForSelector(selector: string, options: { state: string }): Promise<unknown>;
  evaluate(code: string): Promise<unknown>;
}

interface Browser {
  newPage(options: { viewport: { width: number; height: number } }): Promise<Page>;
  startTracing(page: Page, options: { categories: string[] }): Promise<void>;
  stopTracing(): Promise<Buffer>;
  close(): Promise<void>;
}

/** Moves the threshold once a frame by pointer events. */
const DRAG = `(async () => {
  const svg = document.querySelector('svg.ranking');
  const { left, top, width } = svg.getBoundingClientRect();
  svg.setPointerCapture = () => {};
  svg.hasPointerCapture = () => true;
  for (let move = 0; move < ${MOVES}; move++) {
    const clientX = left + 52 + (width - 64) * (0.5 + 0.45 * Math.sin(move / 9));
    svg.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY: top + 60, pointerId: 1, bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
})()`;

/** Times the main thread's part of every frame (script, style, layout, paint) from Chromium's own trace. */
async function framesInBrowser(): Promise<void> {
  const workbench = createRequire(path.join(root, 'test/workbench/package.json'));
  const { chromium } = workbench('playwright-core') as { chromium: { launch(options: object): Promise<Browser> } };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-threshold-'));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const dist = pathToFileURL(path.join(root, 'dist/webview')).href;
    const message = JSON.stringify({ jsonrpc: '2.0', method: 'state', params: state() });
    const html = `<!DOCTYPE html><meta charset="utf-8"><link rel="stylesheet" href="${dist}/model.css"><body><main id="page"></main>
<script>window.acquireVsCodeApi = () => ({ postMessage: (m) => { if (m.method === 'ready') window.postMessage(${message}, '*'); }, getState() {}, setState() {} });</script>
<script src="${dist}/model.js"></script>`;
    const file = path.join(folder, 'page.html');
    writeFileSync(file, html);
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector('.group-card:last-child .bars[aria-label]', { state: 'attached' });
    await browser.startTracing(page, { categories: ['devtools.timeline', 'cc'] });
    await page.evaluate(DRAG);
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    const frames = traceEvents.filter((e) => e.name === 'ProxyMain::BeginMainFrame');
    const milliseconds = (key: 'dur' | 'tdur'): number[] => frames.flatMap((e) => (e[key] === undefined ? [] : [e[key] / 1000]));
    process.stdout.write(`browser, ${frames.length} frames of a drag, processor time: ${quantiles(milliseconds('tdur'))}\n`);
    process.stdout.write(`browser, the same by the clock: ${quantiles(milliseconds('dur'))}\n`);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true });
  }
}

countInNode();
void framesInBrowser();

/** Times the frames of the memory timeline with 10,000 layers: node test/bench/memoryPage.mjs (after a build; needs Chromium). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../../tools/install.mjs';
import { findBrowser } from '../workbench/browser.mjs';

const { chromium } = createRequire(path.join(root, 'test/workbench/package.json'))('playwright-core');
const asset = (name) => pathToFileURL(path.join(root, 'dist/webview', name)).href;

/** Runs in the page in place of the extension: answers for a network of 10,000 layers with forward, backward and update of each. */
function answerAsHost() {
  const count = 10_000;
  const layers = Array.from({ length: count }, (_, i) => `layer${i}`);
  const layer = [...layers.keys(), ...[...layers.keys()].reverse().flatMap((i) => [i, i])];
  const phase = layer.map((_, step) => (step < count ? 'forward' : (step - count) % 2 === 0 ? 'backward' : 'update'));
  const held = (step) => (step < count ? step : count - (step - count) / 2);
  const bytes = {
    weights: layer.map(() => 4e8),
    optimiser: layer.map(() => 4e8),
    inputs: layer.map(() => 1e6),
    activations: layer.map((_, step) => 4e5 * held(step)),
    gradients: layer.map((_, step) => (step < count ? 0 : 5e6 + 1e8 * Math.abs(Math.sin(step)))),
  };
  const offloaded = layer.map((_, step) => 2e5 * held(step));
  const sizes = { peakBytes: 5e9, poolBytes: 5.1e9, spillBytes: 2e9, trafficBytes: 4e9, floorBytes: 1e9, floorLayer: 'layer77' };
  const cost = { recomputations: 3, extraSeconds: 1, extraFraction: 0.1 };
  const policies = ['none', 'liveness', 'offload', 'recompute', 'auto'].map((policy) => ({ policy, feasible: true, ...sizes, ...cost }));
  const report = { batch: 1, policy: 'auto', operations: 90_000, pinnedBytes: 8e8, seconds: 9, policies };
  const answers = {
    plan: (choice) => ({ id: 1, choice, isAtFloor: false, report, steps: { layers, layer, phase, bytes, offloaded } }),
    costs: () => [1, 2, 3, 4, 5].map((i) => ({ policy: 'auto', budget: i * 1e9, trafficBytes: (6 - i) * 1e9, ...cost })),
    alive: () => Array.from({ length: 6 }, (_, i) => ({ name: `layer${i}/Conv_1`, bytes: 4e6, kind: 'activations' })),
  };
  const send = (message) => setTimeout(() => window.postMessage({ jsonrpc: '2.0', ...message }));
  const took = { poolBytes: 5.1e9, plannedPeakBytes: 5e9, peakBytes: 5e9, spillBytes: 2e9, trafficBytes: 4e9 };
  const times = { transferSeconds: 1, waitedSeconds: 0.1, stepSeconds: 10, processBytes: 6e9 };
  /** A step of ten seconds that is running, told as the engine does: 25 points every 100 ms. */
  window.train = () => {
    let at = 0;
    setInterval(() => {
      const ms = Array.from({ length: 25 }, (_, i) => (at % 10_000) + 4 * i);
      const pool = ms.map((t) => 5e9 * Math.sin((Math.PI * t) / 10_000));
      const trace = { ms, bytes: pool, isFirst: at % 10_000 === 0, isLast: at % 10_000 === 9900, stepMs: (at % 10_000) + 100 };
      send({ method: 'livePool', params: { title: 'Tune deep', step: 1 + Math.floor(at / 10_000), ...trace } });
      if (at % 1000 === 0)
        send({ method: 'live', params: { title: 'Tune deep', step: 1 + at / 1000, total: 1e4, memory: { ...took, ...times } } });
      at += 100;
    }, 100);
  };
  const state = { file: 'deep.onnx', hasSurgery: false, choice: { batch: 1, optimiser: 'sgd', policy: 'auto' }, layers };
  window.acquireVsCodeApi = () => ({
    getState: () => undefined,
    setState: () => undefined,
    postMessage({ method, id, params }) {
      if (method === 'ready') send({ method: 'state', params: state });
      else if (id !== undefined) send({ id, result: answers[method]?.(params) ?? null });
    },
  });
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-bench-'));
const file = path.join(folder, 'page.html');
writeFileSync(
  file,
  `<!DOCTYPE html><meta charset="utf-8"><link rel="stylesheet" href="${asset('memory.css')}"><main id="page"></main>
<script>(${answerAsHost.toString()})()</script><script src="${asset('memory.js')}"></script>`,
);
const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  await page.goto(pathToFileURL(file).href);
  await page.locator('#peak').waitFor();
  await page.waitForTimeout(1000);
  const move = (x, y) => page.mouse.move(x, y).then(() => page.waitForTimeout(8));
  const chart = await page.locator('.timeline .overlay').boundingBox();
  await report(page, 'hover', (i) => move(chart.x + 60 + 4 * i, chart.y + 150));
  const handle = await page.locator('.budget rect').boundingBox();
  await page.mouse.move(handle.x + 20, handle.y + 15);
  await page.mouse.down();
  await report(page, 'drag the budget', (i) => move(handle.x + 20, handle.y + 15 + i));
  await page.mouse.up();
  const strip = await page.locator('.strip').boundingBox();
  await page.mouse.move(strip.x + 100, strip.y + 20);
  await page.mouse.down();
  await report(page, 'zoom with the brush', (i) => move(strip.x + 110 + 2 * i, strip.y + 20));
  await page.mouse.up();
  await page.evaluate(() => window.train());
  await page.locator('.live-pool path.series').first().waitFor();
  const below = await page.locator('.timeline .overlay').boundingBox();
  await report(page, 'hover while a model trains', (i) => move(below.x + 60 + 4 * i, below.y + 150));
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Times between frames while something is done 120 times. */
async function report(page, name, action) {
  await page.evaluate(() => {
    window.frameTimes = [];
    let last = performance.now();
    const frame = () => {
      const now = performance.now();
      window.frameTimes.push(now - last);
      last = now;
      window.frameRequest = requestAnimationFrame(frame);
    };
    frame();
  });
  for (let i = 0; i < 120; i++) await action(i);
  const times = await page.evaluate(() => {
    cancelAnimationFrame(window.frameRequest);
    return window.frameTimes.slice(1).sort((a, b) => a - b);
  });
  const at = (part) => `${times[Math.min(times.length - 1, Math.floor(part * times.length))].toFixed(1)} ms`;
  process.stdout.write(`${name}: ${times.length} frames, median ${at(0.5)}, 95 % within ${at(0.95)}, longest ${at(1)}\n`);
}

/** `npm start`: installs what is missing, builds, and opens the real VS Code workbench with the sample, or does the surgery without it. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { execute, installDependencies, root } from './install.mjs';

installDependencies();
execute(process.execPath, ['tools/build.mjs']);

if (process.argv.includes('--headless')) {
  const { headless } = await import('./headless.mjs');
  headless();
} else {
  const { setupWorkbench } = await import('../test/workbench/setup.mjs');
  setupWorkbench();
  const { startServer } = await import('../test/workbench/workbench.mjs');
  const files = { 'shapes-resnet8.onnx': path.join(root, 'sample/shapes-resnet8.onnx'), 'model.py': path.join(root, 'sample/model.py') };
  const { url, stop } = await startServer({ files });
  console.log(`Scalpel is open at ${url}\nPress Ctrl-C to stop.`);
  openInBrowser(url);
  process.once('SIGINT', () => void stop().then(() => process.exit(0)));
}

function openInBrowser(url) {
  const command = { darwin: 'open', win32: 'explorer' }[process.platform] ?? 'xdg-open';
  spawn(command, [url], { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}

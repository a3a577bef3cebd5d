import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { npmInstall } from '../../../extension/npmInstall';
import type { EngineInfo } from '../../../engine/contract/protocol';
import { TENSORFLOW_VARIABLE } from '../../../engine/contract/devices';
import { findTensorFlow } from '../../../engine/runtime/tfjs/findTensorFlow';

const run = promisify(execFile);
const hasNpm = spawnSync('npm', ['--version'], { shell: process.platform === 'win32' }).status === 0;

describe('installing TensorFlow into the storage of the extension', function () {
  this.timeout(60_000);
  let scratch: string;
  let storage: string;

  before(function () {
    if (!hasNpm) this.skip();
    scratch = mkdtempSync(path.join(os.tmpdir(), 'scalpel-install-'));
    storage = path.join(scratch, 'storage with a space');
    mkdirSync(storage);
  });
  after(() => {
    if (scratch) rmSync(scratch, { recursive: true });
  });

  /** A package of the name, packed as npm's registry would have it. */
  async function pack(name: string): Promise<string> {
    const folder = path.join(scratch, 'package');
    mkdirSync(folder);
    const scripts = { install: 'node -e "console.log(\'Downloading libtensorflow\')"' };
    writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name, version: '4.99.0', scripts }));
    await run('npm', ['pack', '--silent', '--pack-destination', scratch], { cwd: folder, shell: process.platform === 'win32' });
    return path.join(scratch, readdirSync(scratch).find((file) => file.endsWith('.tgz')) ?? '');
  }

  it('shows what happens, and the engine finds the package afterwards', async () => {
    const lines: string[] = [];
    await npmInstall(await pack('@tensorflow/tfjs-node'), storage, (line) => lines.push(line));
    assert.ok(
      lines.some((line) => line.includes('Downloading libtensorflow')),
      lines.join('\n'),
    );
    const [found] = findTensorFlow([storage]);
    assert.deepEqual([found?.package, found?.version], ['@tensorflow/tfjs-node', '4.99.0']);
    const cli = path.join(__dirname, '../../../engine/cli/main.ts');
    const { stdout } = await run(process.execPath, ['--require', require.resolve('tsx/cjs'), cli, 'devices', '--json'], {
      env: { ...process.env, [TENSORFLOW_VARIABLE]: storage },
    });
    const device = (JSON.parse(stdout) as EngineInfo).devices.find(({ id }) => id === 'tensorflow');
    assert.match(device?.description ?? '', /^@tensorflow\/tfjs-node 4\.99\.0 .*storage with a space/);
  });

  it('says what to do where there is no network', async () => {
    const before = process.env.npm_config_registry;
    Object.assign(process.env, { npm_config_registry: 'http://127.0.0.1:9', npm_config_fetch_retries: '0' });
    try {
      await assert.rejects(
        npmInstall('@tensorflow/tfjs-node@4.98.0', storage, () => undefined),
        /cannot be downloaded: there is no network.*copy its node_modules folder into .*storage/,
      );
    } finally {
      Reflect.deleteProperty(process.env, 'npm_config_fetch_retries');
      if (before === undefined) Reflect.deleteProperty(process.env, 'npm_config_registry');
      else process.env.npm_config_registry = before;
    }
  });

  it('ends when it is cancelled', async () => {
    const controller = new AbortController();
    const installing = npmInstall('file:/nowhere.tgz', storage, () => undefined, controller.signal);
    controller.abort();
    await assert.rejects(installing, /cancelled/);
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { knownDevice, mayHaveFasterDevice } from '../../../engine/server/operations/autoDevice';
import { keepCalibration } from '../../../engine/server/operations/calibration';

describe('the device for someone who asks for none', () => {
  const VARIABLES = ['VK_ICD_FILENAMES', 'XDG_CACHE_HOME', 'LOCALAPPDATA'] as const;
  const before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-auto-'));
  const log: string[] = [];
  let measured = 0;
  const choose = (): string =>
    knownDevice(
      (message) => log.push(message),
      () => measured++,
    );
  beforeEach(() => {
    log.splice(0);
    measured = 0;
    process.env.XDG_CACHE_HOME = process.env.LOCALAPPDATA = folder;
    process.env.VK_ICD_FILENAMES = 'a driver';
  });
  after(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
    rmSync(folder, { recursive: true });
  });

  it('is the processor until the others are measured, which nobody waits for', () => {
    assert.equal(choose(), 'cpu');
    assert.equal(measured, 1);
    assert.match(log[0]!, /measured in the background/);
  });

  it('is the fastest once that is known, and says so', () => {
    keepCalibration({ id: 'webgpu', summary: 'webgpu is faster', times: { cpu: 9, webgpu: 1 } });
    assert.equal(choose(), 'webgpu');
    assert.deepEqual([measured, log], [0, ['webgpu is faster']]);
  });

  it('is measured again where the drivers have changed', () => {
    process.env.VK_ICD_FILENAMES = 'another driver';
    assert.equal(choose(), 'cpu');
    assert.equal(measured, 1);
  });

  it('is the processor without a word where nothing else may be there', function () {
    Reflect.deleteProperty(process.env, 'VK_ICD_FILENAMES');
    if (mayHaveFasterDevice()) return this.skip();
    assert.equal(choose(), 'cpu');
    assert.deepEqual([measured, log], [0, []]);
  });
});

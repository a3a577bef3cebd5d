import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { assertClose } from '../../support/close';
import type { Budgeted } from '../../support/webGpuRun';

/** A software Vulkan device, as Debian's chromium package brings it with the library that loads it. */
const SOFTWARE_DEVICE = '/usr/lib/chromium/vk_swiftshader_icd.json';

interface Outcome {
  readonly error?: string;
  readonly cpu: number[];
  readonly first: number[];
  readonly second: number[];
  readonly memory: number[];
  readonly notes: string[];
  readonly mean: [number[], number[]];
  readonly budgeted: Budgeted[];
  /** Losses of an LSTM on the processor, on the GPU, and there by a plan. */
  readonly recurrent: number[][];
}

if (existsSync(SOFTWARE_DEVICE))
  describe('training on WebGPU (a software device)', () => {
    let outcome: Outcome;
    before(async function () {
      this.timeout(120_000);
      const script = path.join(__dirname, '../../support/webGpuRun.ts');
      const { stdout } = await promisify(execFile)(process.execPath, ['--require', require.resolve('tsx/cjs'), script], {
        env: {
          ...process.env,
          VK_ICD_FILENAMES: process.env.VK_ICD_FILENAMES ?? SOFTWARE_DEVICE,
          LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, path.dirname(SOFTWARE_DEVICE)].filter(Boolean).join(':'),
        },
      });
      outcome = JSON.parse(stdout) as Outcome;
      assert.equal(outcome.error, undefined);
    });

    it('follows the processor over 30 steps', () => {
      assert.equal(outcome.first.length, 30);
      assertClose(outcome.first, outcome.cpu, 1e-3, 'losses');
      assertClose(outcome.mean[1], outcome.mean[0], 1e-3, 'running mean');
    });

    it('lets a second job have the device at the same time', () => assertClose(outcome.second, outcome.cpu.slice(0, 5), 1e-3, 'losses'));

    it('keeps its memory flat from step to step', () => {
      const [early = 0, late = 0] = [outcome.memory[9], outcome.memory[29]];
      assert.ok(late - early < 8 * 2 ** 20, `it grew by ${late - early} bytes over 20 steps`);
    });

    it('keeps a memory budget: the buffers that there are take what is planned, and the losses stay', () => {
      for (const { losses, held, planned, poolBytes } of outcome.budgeted) {
        assert.deepEqual(losses, outcome.first.slice(0, 5));
        assert.ok(held <= poolBytes, `${held} bytes held, ${poolBytes} planned`);
        assert.ok(Math.abs(held - planned) < 0.02 * planned, `${held} bytes held, ${planned} planned`);
      }
      const [liveness, auto] = outcome.budgeted as [Budgeted, Budgeted];
      assert.ok(auto.held < liveness.held && auto.moved + auto.recomputations > 0);
    });

    it('trains an LSTM, by a memory plan too', () => {
      const [cpu = [], gpu = [], planned] = outcome.recurrent;
      assertClose(gpu, cpu, 1e-3, 'losses');
      assert.deepEqual(planned, gpu);
    });

    it('says what runs on the processor, and how long that takes', () => {
      assert.match(outcome.notes[0]!, /^WebGPU keeps [\d.]+ MiB of weights/);
      assert.match(outcome.notes[1]!, /^WebGPU: \d+ of \d+ operators run on the processor \([\d.]+ ms.*MaxPool/);
    });
  });

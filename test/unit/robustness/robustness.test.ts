import assert from 'node:assert/strict';
import path from 'node:path';
import fc from 'fast-check';
import { createModel } from '../../../engine/architectures/createModel';
import type { Attack, AttackNorm, AttackResult } from '../../../engine/contract/robustness';
import { readNpz } from '../../../engine/formats/npy/npz';
import { readOnnx } from '../../../engine/formats/onnx/readOnnx';
import type { SurgeryError } from '../../../engine/graph/errors';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { type AttackSettings, attackBatch } from '../../../engine/robustness/attack';
import { BALLS } from '../../../engine/robustness/ball';
import { evaluateRobustness } from '../../../engine/robustness/evaluateRobustness';
import { maskedGradients } from '../../../engine/robustness/maskedGradients';
import { PixelSpace } from '../../../engine/robustness/pixelSpace';
import { VictimNetwork } from '../../../engine/robustness/victimNetwork';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { MemoryOptions, Runtime } from '../../../engine/runtime/runtime';
import { type Batch, evaluate } from '../../../engine/training/evaluate';
import { assertClose } from '../../support/close';
import { residualNetwork } from '../../support/smallNetworks';
import { tensorFlow } from '../../support/tensorFlow';

const fixtures = path.join(__dirname, '../../fixtures/attacks');
const runtime = openRuntime();
const space = new PixelSpace({
  mean: [0.4, 0.5, 0.6],
  std: [0.2, 0.25, 0.3],
  sampleShape: [3, 8, 8],
  channelAxis: 'first',
  range: [0, 1],
});
const settings = (attack: Attack, norm: AttackNorm, epsilon: number, more: Partial<AttackSettings> = {}): AttackSettings => ({
  attack,
  norm,
  epsilon,
  steps: 8,
  restarts: 1,
  ...more,
});

describe('robustness', () => {
  describe('a small network', () => {
    let victims: VictimNetwork;
    const arrays = readNpz(path.join(fixtures, 'attacks.npz'));
    const x = arrays.get('x')!.data as Float32Array;
    const y = arrays.get('y')!;
    const values = space.fromNetwork(x);
    before(async () => {
      victims = await VictimNetwork.create(runtime, await readOnnx(path.join(fixtures, 'network.onnx')), space, { batch: 8 });
    });
    after(() => victims.dispose());

    for (const [name, losses] of arrays) {
      const [attack, norm, epsilon] = name.split('/') as [Attack, AttackNorm, string];
      if (attack !== 'fgsm' && attack !== 'ifgsm') continue;
      it(`loses as much as in PyTorch: ${name}`, async () => {
        const size = 0.25 * Number(epsilon);
        const found = await attackBatch(
          victims.facing({ y }),
          values,
          space,
          settings(attack, norm, Number(epsilon), { stepSize: size }),
          new Random(1),
        );
        assertClose(Float32Array.from(found.loss), losses.data as Float32Array, 1e-4);
      });
    }

    it('is hurt by PGD no less with more restarts, and by radius zero not at all', async () => {
      const victim = victims.facing({ y });
      const clean = await victim.judge(values);
      const lossOf = async (more: Partial<AttackSettings>, epsilon = 0.05): Promise<Float64Array> =>
        (await attackBatch(victim, values, space, settings('pgd', 'linf', epsilon, more), new Random(3))).loss;
      assertClose(Float32Array.from(await lossOf({}, 0)), Float32Array.from(clean.loss), 1e-5);
      const [one, three] = [await lossOf({ restarts: 1 }), await lossOf({ restarts: 3 })];
      assert.ok(three.every((loss, i) => loss >= one[i]!));
      assert.ok(three.reduce((a, b) => a + b) > clean.loss.reduce((a, b) => a + b));
    });

    it('is reported with the samples counted once, whatever the batch', async () => {
      const network = await readOnnx(path.join(fixtures, 'network.onnx'));
      const whole = { x: float32([7, 3, 8, 8], x), y: int64([7], Array.from(y.data as BigInt64Array, Number)) };
      const batches = async function* (): AsyncGenerator<typeof whole> {
        yield await Promise.resolve(whole);
      };
      const report = await evaluateRobustness(runtime, network, batches(), space, [settings('fgsm', 'linf', 0.03)], { batch: 16, seed: 1 });
      assert.equal(report.count, 7);
      const expected = arrays.get('fgsm/linf/0.03')!.data as Float32Array;
      assert.ok(Math.abs(report.attacks[0]!.loss - expected.reduce((a, b) => a + b) / 7) < 1e-4);
    });
  });

  it('keeps every attack inside its ball and the bounds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Attack>('fgsm', 'ifgsm', 'pgd', 'random'),
        fc.constantFrom<AttackNorm>('linf', 'l2'),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer(),
        async (attack, norm, epsilon, seed) => {
          const random = new Random(seed);
          const clean = Float32Array.from({ length: 2 * space.size }, () => random.uniform());
          let last: Float32Array = clean;
          const victim = {
            gradient: (at: Float32Array) => Promise.resolve(at.map(() => random.normal())),
            judge(at: Float32Array) {
              last = at;
              return Promise.resolve({ loss: new Float64Array(2), correct: new Uint8Array(2) });
            },
          };
          await attackBatch(victim, clean, space, settings(attack, norm, epsilon), random);
          assert.ok(last.every((v) => v >= 0 && v <= 1));
          const change = last.map((v, i) => v - clean[i]!);
          const lengths = [change.subarray(0, space.size), change.subarray(space.size)].map((c) =>
            norm === 'l2' ? Math.hypot(...c) : Math.max(...c.map(Math.abs)),
          );
          assert.ok(lengths.every((length) => length <= epsilon * (1 + 1e-4) + 1e-6));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('projects to the nearest point of the ball', () => {
    const change = Float32Array.of(3, 4, 0.3, 0.4);
    BALLS.l2.project(change, 2, 1);
    assertClose(change, [0.6, 0.8, 0.3, 0.4], 1e-6);
    BALLS.linf.project(change, 2, 0.35);
    assertClose(change, [0.35, 0.35, 0.3, 0.35], 1e-6);
  });

  it('warns of masked gradients, and only of them', () => {
    const result = (attack: Attack, accuracy: number, epsilon = 0.1): AttackResult => ({
      attack,
      norm: 'linf',
      epsilon,
      accuracy,
      loss: 1,
    });
    assert.deepEqual(maskedGradients(0.9, [result('fgsm', 0.5), result('pgd', 0.3), result('random', 0.89)]), []);
    assert.match(maskedGradients(0.9, [result('fgsm', 0.5), result('pgd', 0.6)]).join(), /pgd leaves 60.00 % correct .*masked/);
    assert.match(maskedGradients(0.9, [result('fgsm', 0.5), result('random', 0.45)]).join(), /Random noise leaves 45.00 %/);
    assert.match(maskedGradients(0.9, [result('pgd', 0.3), result('pgd', 0.4, 0.2)]).join(), /more correct at epsilon 0.2/);
  });

  it('attacks within a memory budget, on every runtime', async () => {
    const network = residualNetwork();
    const random = new Random(6);
    const x = float32(
      [8, 3, 8, 8],
      Float32Array.from({ length: 8 * 192 }, () => random.normal()),
    );
    const batch = { x, y: int64([8], [0, 1, 2, 3, 0, 1, 2, 3]) };
    const attacks = [settings('pgd', 'linf', 0.1, { steps: 3 })];
    const attack = (on: Runtime, memory?: MemoryOptions) =>
      evaluateRobustness(on, network, inTurn([batch]), space, attacks, { batch: 8, seed: 1, memory });
    /** With the least budget: the floor of each pass in turn. */
    const attackTightly = async (on: Runtime) => {
      for (let budget = 1; ;)
        try {
          return await attack(on, { budget });
        } catch (error) {
          const { code, details } = error as SurgeryError;
          assert.ok(code === 'budget-impossible' && Number(details.floorBytes) > budget, String(error));
          budget = Math.ceil(1.02 * Number(details.floorBytes));
        }
    };
    const { attacks: reference } = await attack(runtime);
    for (const on of [runtime, tensorFlow]) {
      const { attacks: found } = await attackTightly(on);
      assertClose([found[0]!.loss, found[0]!.accuracy], [reference[0]!.loss, reference[0]!.accuracy], 1e-4);
    }
  });

  it('attacks sequences within their lengths', async () => {
    const lstm = createModel('lstm', { input: [6, 3], classes: 4, hidden: 8, lengths: true, seed: 3 });
    const random = new Random(5);
    const x = float32(
      [8, 6, 3],
      Float32Array.from({ length: 144 }, () => random.normal()),
    );
    const y = int64([8], [0, 1, 2, 3, 0, 1, 2, 3]);
    const batch = { x, y, lengths: { type: 'int32', dims: [8], data: Int32Array.of(1, 2, 3, 4, 5, 6, 2, 3) } } as const;
    const plain = new PixelSpace({ mean: [0], std: [1], sampleShape: [6, 3], channelAxis: 'last' });
    const attacks = [settings('fgsm', 'linf', 0.5), settings('pgd', 'linf', 0.5)];
    const attack = (batches: Batch[]) => evaluateRobustness(runtime, lstm, inTurn(batches), plain, attacks, { batch: 8, seed: 1 });
    const report = await attack([batch]);
    assert.ok(Math.abs(report.loss - (await evaluate(runtime, lstm, [batch])).loss) < 1e-5);
    for (const { loss } of report.attacks) assert.ok(loss > report.loss + 0.01, `${loss} against ${report.loss}`);
    const changed = {
      ...x,
      data: x.data.map((v, i) => (Math.floor((i % 18) / 3) < (batch.lengths.data[Math.floor(i / 18)] ?? 0) ? v : v + 9)),
    };
    assert.deepEqual(await attack([{ ...batch, x: changed }]), report, 'what lies behind the end matters');
    assert.notEqual((await attack([{ x, y }])).loss, report.loss);
  });
});

async function* inTurn(batches: readonly Batch[]): AsyncGenerator<Batch> {
  for (const batch of batches) yield await Promise.resolve(batch);
}

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ModelSummary } from '../../../engine/contract/models';
import type { EngineInfo } from '../../../engine/contract/protocol';
import type { RobustnessReport } from '../../../engine/contract/robustness';
import { writeNpz } from '../../../engine/formats/npy/npz';
import { type Tensor, float32, int64 } from '../../../engine/graph/tensor';
import type { PruneResult } from '../../../engine/server/operations/prune';
import { sharedFile } from '../../support/shared';

const cli = path.join(__dirname, '../../../dist/cli.js');
const DATA = 'generated:shapes?classes=3&size=16&seed=2&count=240';

function scalpel(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr, json: <T>() => JSON.parse(stdout) as T };
}

describe('the command line', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-cli-'));
  const model = path.join(folder, 'model.onnx');
  const at = (name: string): string => path.join(folder, name);

  before(() => {
    assert.equal(scalpel('create', 'resnet8', '--input', '3,16,16', '--classes', '3', '--shortcut', 'conv', '-o', model).status, 0);
  });
  after(() => rmSync(folder, { recursive: true }));

  it('inspects a model as one JSON document', () => {
    const summary = scalpel('inspect', model, '--json').json<ModelSummary>();
    assert.equal(
      summary.totals.parameters,
      summary.layers.reduce((n, l) => n + l.parameters, 0),
    );
    assert.ok(summary.groups.length > 4);
    assert.deepEqual(summary.unsupported, []);
  });

  it('measures robustness with controls, and refuses half of the options', () => {
    const attacked = scalpel('evaluate', model, '--data', DATA, '--attack', 'pgd', '--epsilon', '4/255', '--steps', '2', '--json');
    const report = attacked.json<RobustnessReport>();
    assert.deepEqual(
      report.attacks.map((a) => a.attack),
      ['pgd', 'fgsm', 'random'],
    );
    assert.ok(report.attacks[0]!.loss > report.loss);
    assert.equal(report.count, scalpel('evaluate', model, '--data', DATA, '--json').json<{ count: number }>().count);
    const half = scalpel('evaluate', model, '--data', DATA, '--attack', 'pgd');
    assert.equal(half.status, 2);
    assert.match(half.stderr, /--attack and --epsilon together/);
  });

  it('trains, prunes to a budget, applies the same plan and evaluates', () => {
    const trained = at('trained.onnx');
    const { epochs } = scalpel('train', model, '--data', DATA, '--epochs', '2', '--batch', '24', '-o', trained, '--json').json<{
      epochs: { loss: number }[];
    }>();
    assert.ok((epochs[1]?.loss ?? 9) < (epochs[0]?.loss ?? 0));
    const result = scalpel(
      'prune',
      trained,
      '--data',
      DATA,
      '--flops',
      '0.5',
      '--batch',
      '24',
      '--batches',
      '4',
      '-o',
      at('pruned.onnx'),
      '--json',
    ).json<PruneResult>();
    assert.ok(result.after.macs <= 0.5 * result.before.macs);
    assert.ok(result.maskedDifference < 1e-5);
    assert.equal(statSync(at('pruned.onnx')).size, result.after.bytes);
    writeFileSync(at('plan.json'), JSON.stringify(result.plan));
    assert.equal(scalpel('apply', at('plan.json'), '-o', at('applied.onnx')).status, 0);
    const compared = scalpel('compare', at('pruned.onnx'), at('applied.onnx'), '--json').json<{
      identicalWeights: boolean;
      outputDifference: number;
    }>();
    assert.deepEqual([compared.identicalWeights, compared.outputDifference], [true, 0]);
    const { count, accuracy } = scalpel('evaluate', at('applied.onnx'), '--data', DATA, '--json').json<{
      count: number;
      accuracy: number;
    }>();
    assert.equal(accuracy, result.after.accuracy);
    assert.ok(count > 0);
  });

  it('trains with noise that it tells by layer, and takes no setting of noise without noise', () => {
    const { noiseLayers } = scalpel('inspect', model, '--json').json<{ noiseLayers: string[] }>();
    const train = ['train', model, '--data', DATA, '--batch', '24', '-o', at('noisy.onnx'), '--json'];
    const { epochs } = scalpel(...train, '--noise', 'anl', '--epsilon', '0.5').json<{ epochs: { noise: Record<string, number> }[] }>();
    assert.deepEqual(Object.keys(epochs[0]?.noise ?? {}), noiseLayers);
    assert.ok(Object.values(epochs[0]?.noise ?? {}).every((v) => v > 0));
    const refused = scalpel(...train, '--noise-layers', 'bn1');
    assert.deepEqual([refused.status, refused.stderr], [2, 'scalpel: --noise-layers needs --noise\n']);
  });

  it('trains with a teacher, and takes no setting of a teacher without one', () => {
    const train = ['train', model, '--data', DATA, '--batch', '24', '-o', at('taught.onnx'), '--json'];
    const loss = (...more: string[]): number | undefined =>
      scalpel(...train, ...more).json<{ epochs: { loss: number }[] }>().epochs[0]?.loss;
    assert.notEqual(loss('--teacher', model, '--teacher-weight', '0.9'), loss());
    const refused = scalpel(...train, '--teacher-weight', '0.9');
    assert.deepEqual([refused.status, refused.stderr], [2, 'scalpel: --teacher-weight needs --teacher\n']);
    const tooMuch = scalpel(...train, '--teacher', model, '--teacher-weight', '2');
    assert.equal(tooMuch.status, 2);
    assert.match(tooMuch.stderr, /^scalpel: --teacher-weight 2 must be above 0 and at most 1$/m);
    const unused = scalpel('tick-tock', model, '--data', DATA, '--flops', '0.5', '--teacher', model, '-o', at('tt.onnx'));
    assert.equal(unused.status, 2);
    assert.match(unused.stderr, /teacherWeight above 0/);
  });

  it('ends with 130 on Ctrl-C and leaves no half-written file', async () => {
    const before = readdirSync(folder);
    const child = spawn(
      process.execPath,
      [cli, 'train', model, '--data', DATA, '--epochs', '500', '--batch', '24', '-o', at('never.onnx')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    await new Promise<void>((resolve) => child.stderr.on('data', (text: Buffer) => text.includes('steps') && resolve()));
    child.kill('SIGINT');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(code, 130);
    assert.deepEqual(
      readdirSync(folder).filter((name) => !name.endsWith('.checkpoint.npz')),
      before,
    );
    rmSync(at('never.onnx.checkpoint.npz'), { force: true });
  });

  it('scores filters without data by the criteria that need none', () => {
    for (const criterion of ['l1', 'l2', 'bn-scale', 'fpgm', 'lamp', 'random']) {
      const { groups } = scalpel('importance', model, '--criterion', criterion, '--json').json<{
        groups: { scores: number[]; rank: number[] }[];
      }>();
      assert.ok(
        groups.every((g) => g.scores.length > 0 && g.scores.every(Number.isFinite) && g.rank.length === g.scores.length),
        criterion,
      );
    }
  });

  it('writes gradients under the names of the initializers', () => {
    writeNpz(
      at('batch.npz'),
      new Map<string, Tensor>([
        ['x', float32([2, 3, 16, 16], new Float32Array(1536).fill(0.1))],
        ['y', int64([2], [0, 2])],
      ]),
    );
    const { parameters } = scalpel('gradients', model, '--data', at('batch.npz'), '-o', at('grads.npz'), '--json').json<{
      parameters: string[];
    }>();
    assert.ok(parameters.includes('conv1.weight') && parameters.includes('fc.bias'));
    assert.ok(existsSync(at('grads.npz')));
  });

  it('says what can run here, and goes on with the processor where a device cannot', () => {
    const { devices } = scalpel('devices', '--json').json<EngineInfo>();
    assert.deepEqual(
      ['cpu', 'webgpu', 'cuda', 'tensorflow'].filter((id) => !devices.some((d) => d.id === id)),
      [],
    );
    assert.ok(devices.every((d) => d.description !== '' && d.unavailable !== ''));
    const evaluated = (device: string) => scalpel('evaluate', model, '--data', DATA, '--limit', '20', '--device', device, '--json');
    const [cpu, tensorFlow, cuda] = ['cpu', 'tensorflow', 'cuda'].map(evaluated);
    assert.ok(Math.abs(cpu!.json<{ loss: number }>().loss - tensorFlow!.json<{ loss: number }>().loss) < 1e-4);
    assert.match(tensorFlow!.stderr, /TensorFlow: @tensorflow\/tfjs-/);
    assert.deepEqual(cuda!.json(), cpu!.json());
    assert.match(cuda!.stderr, /--device cuda: the processor is used\. onnxruntime's npm package has no CUDA files/);
    assert.equal(evaluated('tpu').status, 2);
  });

  it('ends with one line and code 1 or 2 when it cannot go on, and writes nothing', () => {
    const before = readdirSync(folder).length;
    const cases: [string[], number, RegExp][] = [
      [['inspect', at('missing.onnx')], 1, /missing\.onnx does not exist/],
      [['evaluate', model, '--data', at('nowhere')], 1, /no data at .*nowhere/],
      [['prune', model, '-o', at('x.onnx'), '--flops', '0.5'], 2, /needs --data/],
      [['prune', model, '-o', at('x.onnx'), '--criterion', 'l1'], 2, /exactly one of --flops/],
      [['prune', model, '-o', at('x.onnx'), '--criterion', 'l1', '--flops', '2'], 2, /fraction/],
      [['prune', model, '-o', at('x.onnx'), '--criterion', 'l1', '--flops', '0.0001'], 1, /budget cannot be met/],
      [['create', 'nonet', '-o', at('x.onnx')], 2, /nonet is unknown/],
      [['no-such-command'], 2, /unknown command/],
    ];
    for (const [args, code, message] of cases) {
      const { status, stderr, stdout } = scalpel(...args, ...(args.length > 1 ? ['--json'] : []));
      assert.equal(status, code, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }
    assert.equal(readdirSync(folder).length, before);
  });

  const real = sharedFile('models', 'cifar10-resnet-akamaster', 'resnet20.onnx');
  if (real)
    it('knows the parameters and MACs of the real ResNet-20', () => {
      const { totals, groups } = scalpel('inspect', real, '--json').json<ModelSummary>();
      assert.equal(totals.parameters, 269_722);
      assert.equal(totals.macs, 40_551_040);
      assert.equal(groups.length, 12);
    });
});

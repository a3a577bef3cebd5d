import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { LayerFeatures, LayerSummary, ModelSummary } from '../../../engine/contract/models';
import { channelEdits } from '../../../extension/source/channelEdits';
import { matchModel } from '../../../extension/source/matchModel';
import { NetworkReader } from '../../../extension/source/networkReader';
import { type SourceNetwork, applyEdits } from '../../../extension/source/sourceModel';

const root = path.join(__dirname, '../../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const layer = (weight: string, op: string, inputs: number, outputs: number, groups = 1): LayerSummary => ({
  name: weight.replace(/\.weight$/, ''),
  op,
  outputShape: [],
  parameters: 1,
  macs: 1,
  activationBytes: 1,
  weight,
  features: { inputs, outputs, groups },
});

const summary = (layers: readonly LayerSummary[]): ModelSummary => ({
  path: 'model.onnx',
  hash: '',
  bytes: 0,
  format: 'ONNX',
  opset: 17,
  inputs: [],
  outputs: [],
  layers,
  totals: { parameters: 0, macs: 0, activationBytes: 0 },
  groups: [],
  locked: [],
  unsupported: [],
  noiseLayers: [],
});

/** The model that a network of source describes. */
const modelOf = (network: SourceNetwork): ModelSummary =>
  summary(
    network.layers.map(({ path: name, type, slots }) => {
      const count = (role: string): number => slots.find((s) => s.role === role)?.value ?? 1;
      const outputs = count('outputs');
      const op = /BatchNorm/.test(type) ? 'BatchNormalization' : /Linear|Dense|dense/.test(type) ? 'Gemm' : 'Conv';
      return layer(`${name}.weight`, op, op === 'BatchNormalization' ? outputs : count('inputs'), outputs, count('groups'));
    }),
  );

const changed = (model: ModelSummary, changes: Readonly<Record<string, Partial<LayerFeatures>>>): ModelSummary => ({
  ...model,
  layers: model.layers.map((l) => ({ ...l, features: { ...l.features!, ...changes[l.name] } })),
});

describe('source of networks', () => {
  let reader: NetworkReader;
  const python = (source: string): SourceNetwork[] => reader.read('python', source);
  const typescript = (source: string): SourceNetwork[] => reader.read('typescript', source);
  const named = (source: string, name: string): SourceNetwork => python(source).find((n) => n.name === name)!;
  before(async () => {
    reader = await NetworkReader.load(path.join(root, 'dist'));
  });

  it('follows PyTorch through classes, Sequential and conditions to the names of the state dict', () => {
    const network = named(read('sample/model.py'), 'ResNet8');
    assert.deepEqual(
      network.layers.map((l) => l.path),
      ['', 'layer1.0.', 'layer2.0.', 'layer3.0.']
        .flatMap((at) => {
          const own = [`${at}conv1`, `${at}bn1`];
          if (at === '') return own;
          return [...own, `${at}conv2`, `${at}bn2`, ...(at === 'layer1.0.' ? [] : [`${at}downsample.0`, `${at}downsample.1`])];
        })
        .concat('fc'),
    );
  });

  it('follows loops, helper methods and class attributes', () => {
    const source = read('test/fixtures/source/cifarResnet.py');
    const network = named(source, 'resnet20');
    assert.equal(network.layers.length, 39);
    const conv = network.layers.find((l) => l.path === 'layer2.0.conv1')!;
    assert.deepEqual(
      conv.slots.map((s) => s.value),
      [16, 32],
    );
    assert.equal(matchModel(python(source), modelOf(named(source, 'resnet32')))?.network.name, 'resnet32');
  });

  it('takes no comment or string for code', () => {
    assert.deepEqual(python('# self.a = nn.Conv2d(1, 2, 3)\ns = "self.b = nn.Linear(1, 2)"\n'), []);
  });

  it('tells what it cannot follow', () => {
    const source =
      'class Net(nn.Module):\n  def __init__(self, depth):\n    self.a = nn.Linear(4, 4)\n    for i in range(depth):\n      self.b = nn.Linear(4, 4)\n';
    assert.match(named(source, 'Net').notes.join(), /line 4: it is not known how often this loop runs/);
  });

  it('gives a class parameters where its layers part, and changes nothing else', () => {
    const source = read('sample/model.py');
    const before = modelOf(named(source, 'ResNet8'));
    const widths: Record<string, Partial<LayerFeatures>> = {};
    for (const [at, width] of [
      ['layer1.0', 11],
      ['layer2.0', 3],
      ['layer3.0', 34],
    ] as const) {
      widths[`${at}.conv1`] = { outputs: width };
      widths[`${at}.bn1`] = { outputs: width };
      widths[`${at}.conv2`] = { inputs: width };
    }
    const { edits, changed: count } = channelEdits(source, python, before, changed(before, widths));
    const expected = source
      .replace('filters, stride)', 'filters, stride, conv1_out)')
      .replace('nn.Conv2d(channels, filters, 3', 'nn.Conv2d(channels, conv1_out, 3')
      .replace('self.bn1 = nn.BatchNorm2d(filters)', 'self.bn1 = nn.BatchNorm2d(conv1_out)')
      .replace('nn.Conv2d(filters, filters, 3', 'nn.Conv2d(conv1_out, filters, 3')
      .replace('16, 16, 1)', '16, 16, 1, conv1_out=11)')
      .replace('16, 32, 2)', '16, 32, 2, conv1_out=3)')
      .replace('32, 64, 2)', '32, 64, 2, conv1_out=34)');
    assert.equal(applyEdits(source, edits), expected);
    assert.equal(count, 9);
  });

  it('keeps the parameter that a residual group shares', () => {
    const source = read('sample/model.py');
    const before = modelOf(named(source, 'ResNet8'));
    const widths = Object.fromEntries(
      before.layers
        .filter((l) => /^(layer3\.0\.(conv2|bn2|downsample)|fc)/.test(l.name))
        .map((l) => [l.name, l.name === 'fc' ? { inputs: 50 } : { outputs: 50 }]),
    );
    const edited = applyEdits(source, channelEdits(source, python, before, changed(before, widths)).edits);
    assert.ok(edited.includes('Block(32, 50, 2, conv1_out=64)'), edited);
    assert.ok(edited.includes('nn.Linear(50, classes)'));
  });

  it('replaces layers after a loop has made them', () => {
    const source = read('test/fixtures/source/cifarResnet.py');
    const before = modelOf(named(source, 'resnet20'));
    const widths = { 'layer1.1.conv1': { outputs: 7 }, 'layer1.1.bn1': { outputs: 7 }, 'layer1.1.conv2': { inputs: 7 } };
    const edited = applyEdits(source, channelEdits(source, python, before, changed(before, widths)).edits);
    assert.ok(
      edited.includes('    model = ResNet(BasicBlock, [3, 3, 3])\n    model.layer1[1].conv1 = nn.Conv2d(16, 7, kernel_size=3'),
      edited,
    );
    assert.ok(edited.includes('    return model\n'));
  });

  it('maps Keras layers by their order, through loops', () => {
    const source = read('test/fixtures/source/vggKeras.py').replace('for filters in FILTERS:', 'if True:\n        filters = 16');
    const network = python(source).find((n) => n.name === 'make_model')!;
    assert.equal(network.framework, 'keras');
    const before = summary([
      layer('a/kernel', 'Conv', 3, 16),
      layer('b/gamma', 'BatchNormalization', 16, 16),
      layer('c/kernel', 'Gemm', 16, 64),
      layer('d/kernel', 'Gemm', 64, 10),
    ]);
    const after = changed(before, { 'a/kernel': { outputs: 9 }, 'c/kernel': { inputs: 9, outputs: 40 } });
    const edited = applyEdits(source, channelEdits(source, python, before, after).edits);
    assert.ok(edited.includes('layers.Conv2D(9, 3'), edited);
    assert.ok(edited.includes('layers.Dense(40, activation="relu")'));
    assert.ok(edited.includes('layers.Dense(classes)'));
  });

  it('refuses what one literal cannot state', () => {
    const source = read('test/fixtures/source/vggKeras.py');
    const before = summary([
      layer('a/kernel', 'Conv', 3, 16),
      layer('b/kernel', 'Conv', 16, 32),
      layer('c/kernel', 'Gemm', 32, 64),
      layer('d/kernel', 'Gemm', 64, 10),
    ]);
    assert.throws(
      () => channelEdits(source, python, before, changed(before, { 'a/kernel': { outputs: 9 } })),
      /cannot be written into this source; .*line 10/,
    );
  });

  it('rewrites tfjs layers and keeps the key of a shorthand', () => {
    const source = read('test/fixtures/source/shapesTfjs.js');
    const before = summary([
      layer('a/kernel', 'Conv', 3, 16),
      layer('b/kernel', 'Conv', 16, 32),
      layer('c/kernel', 'Gemm', 32, 64),
      layer('d/kernel', 'Gemm', 64, 10),
    ]);
    const after = changed(before, { 'a/kernel': { outputs: 9 }, 'b/kernel': { outputs: 21 }, 'c/kernel': { outputs: 40 } });
    const edited = applyEdits(source, channelEdits(source, typescript, before, after).edits);
    for (const text of ['filters: 9, kernelSize', 'filters: 21, kernelSize', 'units: 40', 'units: CLASSES'])
      assert.ok(edited.includes(text), edited);
  });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
import type { LayerSummary, ModelSummary } from '../../../engine/contract/models';
import { costOfShape } from '../../../engine/server/operations/shapeCost';
import { type BlockTermForm, pathOf } from '../../../extension/source/blockTermConstructors';
import { NetworkReader } from '../../../extension/source/networkReader';
import { planEdits } from '../../../extension/source/planEdits';
import { applyEdits } from '../../../extension/source/sourceModel';
import { Template } from '../../../extension/source/templateUnits';

const dist = path.join(__dirname, '../../../dist');

const modes = { inputModes: [2, 3], outputModes: [4, 2], ranks: [3, 2], blocks: 2 };
const steps = pathOf(costOfShape({ ...modes, rank: modes.ranks, batch: 4 }));

const form = (layer: string, inputs: number, outputs: number, gates = 1): BlockTermForm => ({ layer, inputs, outputs, gates, ...modes, path: steps }); // prettier-ignore

const summaryOf = (layers: readonly (readonly [string, string, number, number])[]): ModelSummary => ({
  path: 'model.onnx',
  hash: '',
  bytes: 0,
  format: 'ONNX',
  opset: 17,
  inputs: [],
  outputs: [],
  layers: layers.map(
    ([name, op, inputs, outputs]): LayerSummary => ({ name, op, outputShape: [], parameters: 1, macs: 1, activationBytes: 1, weight: `${name}.weight`, features: { inputs, outputs, groups: 1 } }), // prettier-ignore
  ),
  totals: { parameters: 0, macs: 0, activationBytes: 0 },
  groups: [],
  locked: [],
  unsupported: [],
  noiseLayers: [],
});

describe('source of block-term layers', () => {
  let reader: NetworkReader;
  before(async () => {
    reader = await NetworkReader.load(dist);
  });

  const edit = (
    language: 'python' | 'typescript',
    source: string,
    model: ModelSummary,
    forms: readonly BlockTermForm[],
    file: Parameters<typeof Template.load>[1],
    after = model,
  ): string => {
    const change = { before: model, after, forms, template: Template.load(dist, file) };
    return applyEdits(source, planEdits(source, (text) => reader.read(language, text), change).edits);
  };

  const PYTORCH = `"""A network."""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 8, bias=False)
        self.lstm = nn.LSTM(6, 2, batch_first=True)
        self.heads = nn.ModuleList([nn.Linear(6, 8) for _ in range(2)])
        self.out = nn.Linear(8, 10)
`;
  const pytorch = summaryOf([['fc1', 'Gemm', 6, 8], ['lstm', 'LSTM', 6, 2], ['heads.0', 'Gemm', 6, 8], ['heads.1', 'Gemm', 6, 8], ['out', 'Gemm', 8, 10]]); // prettier-ignore
  const shape = 'input_modes=(2, 3), output_modes=(4, 2), ranks=(3, 2), blocks=2, path=';

  it('writes the class after the imports, what it needs with it, and the constructor in place of the old one', () => {
    const edited = edit('python', PYTORCH, pytorch, [form('fc1', 6, 8)], 'pytorch.py');
    assert.match(edited, new RegExp(`self\\.fc1 = BlockTermLinear\\(6, 8, ${shape.replace(/[()]/g, '\\$&')}.*, bias=False\\)`));
    assert.match(
      edited,
      /from torch import nn\nimport math\nimport string\nfrom torch\.nn import functional as F\n\n\nclass BlockTermLinear\(/,
    );
    assert.doesNotMatch(edited, /class BlockTermLSTM|class BlockTermRecurrent/);
  });

  it('writes a class once, and assigns a layer that a loop makes with others', () => {
    const once = edit('python', PYTORCH, pytorch, [form('fc1', 6, 8)], 'pytorch.py');
    const rest = summaryOf([['lstm', 'LSTM', 6, 2], ['heads.0', 'Gemm', 6, 8], ['heads.1', 'Gemm', 6, 8], ['out', 'Gemm', 8, 10]]); // prettier-ignore
    const twice = edit('python', once, rest, [form('heads.1', 6, 8), form('lstm', 6, 8, 4)], 'pytorch.py');
    assert.equal(twice.match(/^class BlockTermLinear\(/gm)?.length, 1);
    assert.match(twice, /\n {8}self\.heads\[1\] = BlockTermLinear\(6, 8, /);
    assert.match(twice, /self\.lstm = BlockTermLSTM\(6, 2, .*, batch_first=True\)/);
    assert.ok(twice.indexOf('class BlockTermLSTM(') < twice.indexOf('class Net('));
  });

  it('names the argument that stands in the way', () => {
    const source = PYTORCH.replace('batch_first=True', 'num_layers=2');
    assert.throws(() => edit('python', source, pytorch, [form('lstm', 6, 8, 4)], 'pytorch.py'), /lstm in line 10: num_layers 2 has no/);
  });

  it('changes the counts of the other layers beside it', () => {
    const after = summaryOf([['heads.0', 'Gemm', 6, 8], ['heads.1', 'Gemm', 6, 8], ['lstm', 'LSTM', 6, 2], ['out', 'Gemm', 5, 10]]); // prettier-ignore
    const edited = edit('python', PYTORCH, pytorch, [form('fc1', 6, 5)], 'pytorch.py', after);
    assert.match(edited, /self\.fc1 = BlockTermLinear\(6, 5, /);
    assert.match(edited, /self\.out = nn\.Linear\(5, 10\)/);
  });

  it('writes Keras: a layer for Dense, a cell in an RNN for LSTM', () => {
    const source = `from tensorflow import keras
from tensorflow.keras import layers

model = keras.Sequential([
    layers.LSTM(2, return_sequences=True, input_shape=(5, 6)),
    layers.Dense(8, activation='relu', kernel_initializer='he_normal', name='hidden'),
    layers.Dense(3),
])
`;
    const model = summaryOf([['lstm', 'LSTM', 6, 2], ['hidden', 'MatMul', 2, 8], ['dense', 'MatMul', 8, 3]]); // prettier-ignore
    const edited = edit('python', source, model, [form('lstm', 6, 8, 4), form('hidden', 2, 8)], 'keras.py');
    assert.ok(edited.includes(`tf.keras.layers.RNN(BlockTermLSTMCell(2, ${shape}`));
    assert.match(edited, /\)\)\), return_sequences=True, input_shape=\(5, 6\)\),\n/);
    assert.match(edited, /BlockTermDense\(8, .*, activation='relu', name='hidden'\),\n {4}layers\.Dense\(3\)/);
    assert.match(edited, /\nimport math\nimport string\nimport tensorflow as tf\n/);
    assert.throws(
      () => edit('python', source.replace('return_sequences=True', 'dropout=0.5'), model, [form('lstm', 6, 8, 4)], 'keras.py'),
      /dropout 0\.5 has no counterpart/,
    );
  });

  const TFJS = `import * as tf from '@tensorflow/tfjs';

export function network() {
  const model = tf.sequential();
  model.add(tf.layers.lstm({ units: 2, returnSequences: false, inputShape: [5, 6] }));
  model.add(tf.layers.dense({ units: 8, activation: 'relu', name: 'hidden' }));
  return model;
}
`;
  const tfjs = summaryOf([['lstm', 'LSTM', 6, 2], ['hidden', 'MatMul', 2, 8]]); // prettier-ignore

  it('writes tfjs, with types into TypeScript and without them into JavaScript', () => {
    const forms = [form('lstm', 6, 8, 4), form('hidden', 2, 8)];
    for (const file of ['tfjs.ts', 'tfjs.js'] as const) {
      const edited = edit('typescript', TFJS, tfjs, forms, file);
      assert.match(
        edited,
        /tf\.layers\.rnn\(\{ cell: new BlockTermLSTMCell\(\{ units: 2, .*\}\), returnSequences: false, inputShape: \[5, 6\] \}\)/,
      );
      assert.match(edited, /new BlockTermDense\(\{ units: 8, inputModes: \[2, 3\], .*, activation: 'relu', name: 'hidden' \}\)/);
      assert.equal(edited.match(/^import .*@tensorflow/gm)?.length, 1);
      assert.equal(/: tf\.Tensor/.test(edited), file === 'tfjs.ts');
    }
  });

  describe('run on tfjs', () => {
    const random = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(7 * i + seed));
    const values = new Map<string, tf.Tensor>();
    class Layer {
      built = false;
      addWeight(name: string, dims: number[]): { read(): tf.Tensor } {
        const size = dims.reduce((a, b) => a * b, 1);
        const tensor = values.get(name) ?? tf.tensor(random(size, name.length + size), dims);
        values.set(name, tensor);
        return { read: () => tensor };
      }
      build(): void {
        this.built = true;
      }
    }
    interface Made {
      build(shape: number[]): void;
      call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor | tf.Tensor[];
    }
    type Classes = Record<'BlockTermDense' | 'BlockTermLSTMCell' | 'BlockTermGRUCell', new (options: object) => Made>;

    /** The classes with stand-ins for the base classes of tfjs-layers, which only keep the weights. */
    function classes(): Classes {
      values.clear();
      const code = readFileSync(path.join(dist, 'templates/tfjs.js'), 'utf8').replace(/^import .*$/m, '');
      const initializers = { randomNormal: () => undefined, zeros: () => undefined, glorotUniform: () => undefined };
      // eslint-disable-next-line @typescript-eslint/no-implied-eval
      const make = new Function('tf', `${code}; return { BlockTermDense, BlockTermLSTMCell, BlockTermGRUCell };`) as (t: object) => Classes;
      return make({ ...tf, layers: { Layer, RNNCell: Layer }, initializers });
    }

    /** The definition: W[(i1,j1),(i2,j2)] = sum over n, r1, r2 of G[n,r1,r2] A1[n,i1,j1,r1] A2[n,i2,j2,r2]. */
    function weight(rows: number): number[][] {
      const at = (name: string): number[][][][] => values.get(name)!.arraySync() as number[][][][];
      const core = values.get('core')!.arraySync() as number[][][];
      const [one, two] = [at('factor1'), at('factor2')];
      return Array.from({ length: rows }, (_, i) =>
        Array.from({ length: 8 }, (__, j) => {
          let sum = 0;
          for (let n = 0; n < 2; n++)
            for (let r = 0; r < 3; r++)
              for (let s = 0; s < 2; s++)
                sum += core[n]![r]![s]! * one[n]![Math.floor(i / 3)]![Math.floor(j / 2)]![r]! * two[n]![i % 3]![j % 2]![s]!;
          return sum;
        }),
      );
    }

    const near = (a: tf.Tensor, b: tf.Tensor): void => {
      const difference = a.sub(b).abs().max().arraySync() as number;
      assert.deepEqual(a.shape, b.shape);
      assert.ok(difference < 1e-5, `differs by ${difference}`);
    };

    it('a dense layer is the product with the matrix that its tensors stand for, padded where there are fewer inputs', () => {
      const layer = new (classes().BlockTermDense)({ units: 8, ...modes, path: steps, activation: 'relu' });
      layer.build([4, 5]);
      const x = tf.tensor(random(20, 3), [4, 5]);
      near(
        layer.call(x) as tf.Tensor,
        x
          .matMul(tf.tensor(weight(5), [5, 8]))
          .add(values.get('bias')!)
          .relu(),
      );
    });

    it('a cell of an LSTM makes the step of an LSTM with that matrix', () => {
      const cell = new (classes().BlockTermLSTMCell)({ units: 2, ...modes, path: steps });
      cell.build([4, 6]);
      const [x, h, c] = [tf.tensor(random(24, 1), [4, 6]), tf.tensor(random(8, 2), [4, 2]), tf.tensor(random(8, 5), [4, 2])];
      const [inner, outer] = tf.split(values.get('B')!.reshape([16]), 2) as [tf.Tensor, tf.Tensor];
      const recurrent = h.matMul(values.get('R')!.reshape([8, 2]), false, true);
      const gates = x
        .matMul(tf.tensor(weight(6), [6, 8]))
        .add(inner)
        .add(recurrent)
        .add(outer);
      const [i, o, f, g] = tf.split(gates, 4, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const next = f.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
      const [, made, kept] = cell.call([x, h, c]) as [tf.Tensor, tf.Tensor, tf.Tensor];
      near(kept, next);
      near(made, o.sigmoid().mul(next.tanh()));
    });
  });
});

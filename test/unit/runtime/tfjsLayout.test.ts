import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { Layers } from '../../../engine/architectures/layers';
import type { Graph } from '../../../engine/graph/graph';
import { float32 } from '../../../engine/graph/tensor';
import type { TfjsModule, TfjsTensor } from '../../../engine/ops/opRecord';
import { TfjsRuntime } from '../../../engine/runtime/tfjs/tfjsRuntime';
import { residualNetwork, trainOnNoise } from '../../support/smallNetworks';
import '../../support/tensorFlow';

/** [N, C, H, W] to [N, H, W, C], and back. */
const [LAST, PLAIN] = ['0,2,3,1', '0,3,1,2'];

interface Turn {
  readonly from: number;
  readonly to: number;
  readonly order: string;
}

/** A runtime that notes every transposition of tensors with four axes. */
function watched(): { runtime: TfjsRuntime; turns: Turn[] } {
  const turns: Turn[] = [];
  const transpose = (x: TfjsTensor, perm: number[]): TfjsTensor => {
    const y = tf.transpose(x, perm);
    if (x.rank === 4) turns.push({ from: x.id, to: y.id, order: perm.join() });
    return y;
  };
  const module = { ...tf, transpose } as unknown as TfjsModule;
  return { runtime: new TfjsRuntime(module, { package: 'watched', version: '1', hardware: 'JavaScript' }), turns };
}

/** Five convolutions with batch norm and a shortcut. */
function network(): Graph {
  const net = new Layers('chain', 3, 'fan-out');
  let x = net.input([3, 8, 8]);
  for (let i = 0; i < 5; i++) x = net.relu(net.batchNorm(net.conv(x, `c${i}`, 4), `n${i}`), `r${i}`);
  return net.finish(net.linear(net.flatten(x), 'fc', 4));
}

describe('the order of axes within the TensorFlow runtime', () => {
  it('changes twice in a chain of convolutions: at the image and before the classifier', async () => {
    const { runtime, turns } = watched();
    const program = await runtime.compile(network());
    await program.run(new Map([['input', float32([2, 3, 8, 8])]]));
    program.dispose();
    assert.deepEqual(
      turns.filter(({ order }) => order === LAST || order === PLAIN).map(({ order }) => order),
      [LAST, PLAIN],
    );
  });

  it('changes at most once for each value of a training step, and never back and forth', async () => {
    const { runtime, turns } = watched();
    await trainOnNoise(runtime, residualNetwork(), { steps: 1 });
    const conversions = turns.filter(({ order }) => order === LAST || order === PLAIN);
    const keys = conversions.map(({ from, order }) => `${from}:${order}`);
    assert.ok(keys.length <= 13, `${keys.length} conversions in a step of three convolutions, forward and backward`);
    assert.equal(new Set(keys).size, keys.length);
    const made = new Map(turns.map((turn) => [turn.to, turn]));
    for (const { from, order } of turns) {
      const before = made.get(from)?.order;
      assert.ok(!((before === LAST && order === PLAIN) || (before === PLAIN && order === LAST)), 'a value was turned back');
    }
  });
});

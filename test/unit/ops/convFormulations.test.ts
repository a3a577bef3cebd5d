import { appendBackward } from '../../../engine/autodiff/backward';
import { type ConvSizes, INPUT_GRADIENT_FORMS, WEIGHT_GRADIENT_FORMS } from '../../../engine/ops/convGradient';
import { CostTable, type Job, OnlyFormulation } from '../../../engine/ops/costTable';
import { Random } from '../../../engine/graph/random';
import { type Tensor, elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { removeUnused } from '../../../engine/graph/removeUnused';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../support/close';
import { type ConvCase, eachProduct, outputSize } from '../../support/convReference';
import assert from 'node:assert/strict';

const CASES: Readonly<Record<string, ConvCase>> = {
  '3x3': { n: 3, c: 5, k: 7, size: [6, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '3x3 of a wide layer on a small map': { n: 2, c: 40, k: 48, size: [3, 3], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '3x3 with a lopsided border': { n: 2, c: 4, k: 3, size: [6, 6], kernel: [3, 3], stride: 1, pads: [0, 1, 2, 1] },
  '3x3, stride 2, odd size': { n: 2, c: 4, k: 6, size: [7, 9], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1] },
  '5x3': { n: 2, c: 3, k: 4, size: [7, 6], kernel: [5, 3], stride: 1, pads: [2, 1, 2, 1] },
  '1x1': { n: 3, c: 6, k: 4, size: [5, 4], kernel: [1, 1], stride: 1, pads: [0, 0, 0, 0] },
  '1x1, stride 2': { n: 2, c: 4, k: 6, size: [8, 7], kernel: [1, 1], stride: 2, pads: [0, 0, 0, 0] },
  'dilated 3x3': { n: 2, c: 3, k: 5, size: [7, 8], kernel: [3, 3], stride: 1, pads: [2, 2, 2, 2], dilation: 2 },
  depthwise: { n: 2, c: 6, k: 6, size: [6, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 6 },
};

const runtime = openRuntime();

function random(seed: number, dims: readonly number[]): Tensor & { data: Float32Array } {
  const source = new Random(seed);
  return float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => source.normal()),
  );
}

/** Both gradients, computed as `name` says where that applies, and whether it did. */
async function gradients(c: ConvCase, name: string): Promise<{ x: Float32Array; w: Float32Array; used: boolean }> {
  const feeds = feedsOf(c);
  const costs = new OnlyFormulation(name);
  const builder = new GraphBuilder('formulation', 17, costs);
  for (const [input, tensor] of Object.entries(feeds)) builder.input(input, tensor.dims);
  const attributes = {
    kernel_shape: c.kernel,
    strides: [c.stride, c.stride],
    pads: c.pads,
    group: c.groups ?? 1,
    dilations: [c.dilation ?? 1, c.dilation ?? 1],
  };
  builder.emitNamed('Conv', ['x', 'w'], attributes, ['y']);
  const found = appendBackward(builder, [...builder.graph.nodes], new Map([['y', 'g']]), ['x', 'w']);
  const [dx = '', dw = ''] = [found.get('x'), found.get('w')];
  [dx, dw].forEach((value) => builder.output(value));
  removeUnused(builder.graph);
  const program = await runtime.compile(builder.graph);
  const results = await program.run(new Map(Object.entries(feeds).filter(([input]) => program.inputs.includes(input))));
  program.dispose();
  const data = (value: string): Float32Array => results.get(value)?.data as Float32Array;
  return { x: data(dx), w: data(dw), used: costs.used };
}

const feedsOf = (c: ConvCase) => ({
  x: random(1, [c.n, c.c, ...c.size]),
  w: random(2, [c.k, c.c / (c.groups ?? 1), ...c.kernel]),
  g: random(3, [c.n, c.k, ...outputSize(c)]),
});

describe('formulations of convolution gradients against their definition in double precision', () => {
  const names = [...new Set([...INPUT_GRADIENT_FORMS, ...WEIGHT_GRADIENT_FORMS].map((form) => form.name))];
  for (const [title, c] of Object.entries(CASES))
    it(title, async () => {
      const { x, w, g } = feedsOf(c);
      const [dx, dw] = [new Float64Array(x.data.length), new Float64Array(w.data.length)];
      eachProduct(c, (i, j, o) => {
        dx[i]! += g.data[o]! * w.data[j]!;
        dw[j]! += g.data[o]! * x.data[i]!;
      });
      const applied: string[] = [];
      for (const name of names) {
        const found = await gradients(c, name);
        if (!found.used) continue;
        applied.push(name);
        assertClose(found.x, dx, 1e-5, `input gradient with ${name}`);
        assertClose(found.w, dw, 1e-5, `weight gradient with ${name}`);
      }
      assert.ok(applied.includes('transposed-convolution') && applied.includes('swapped') && applied.length >= 3, applied.join());
    });

  it('each serves a shape of its own in the built-in order', () => {
    const base: ConvSizes = {
      ...{ batch: 2, channels: 4, filters: 4, input: [8, 8], output: [8, 8], groups: 1, kernel: [3, 3] },
      ...{ strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] },
    };
    const first = (sizes: ConvSizes): string | undefined => WEIGHT_GRADIENT_FORMS.find((form) => form.applies(sizes))?.name;
    assert.equal(first(base), 'shifts');
    assert.equal(first({ ...base, channels: 512, filters: 512, input: [4, 4], output: [4, 4] }), 'merged-shifts');
    assert.equal(first({ ...base, strides: [2, 2], output: [4, 4] }), 'patches');
    assert.equal(first({ ...base, kernel: [1, 1], pads: [0, 0, 0, 0] }), 'pointwise');
    assert.equal(first({ ...base, groups: 4 }), 'swapped');
  });
});

describe('a cost table', () => {
  const shape = { batch: 8, channels: 16, filters: 16, input: [32, 32], kernel: [3, 3], stride: 1, groups: 1 };
  const job: Job = 'weight-gradient';
  const table = new CostTable([
    { job, shape, times: { shifts: 2, patches: 3 }, usual: 'shifts' },
    { job, shape: { ...shape, channels: 256, filters: 256, input: [8, 8] }, times: { shifts: 5, patches: 4 }, usual: 'shifts' },
  ]);
  const both = ['shifts', 'patches'];

  it('answers from the nearest shape', () => {
    assert.equal(table.fastest(job, { ...shape, channels: 24 }, both, 'patches'), 'shifts');
    assert.equal(table.fastest(job, { ...shape, channels: 128, filters: 256, input: [8, 8] }, both, 'shifts'), 'patches');
  });

  it('keeps the usual formulation where another is hardly faster', () => {
    const close = new CostTable([{ job, shape, times: { shifts: 2, patches: 1.9 }, usual: 'shifts' }]);
    assert.equal(close.fastest(job, shape, both, 'shifts'), 'shifts');
  });

  it('says nothing of other kernels, other jobs and shapes far away', () => {
    assert.equal(table.fastest(job, { ...shape, kernel: [5, 5] }, both, 'patches'), 'patches');
    assert.equal(table.fastest(job, { ...shape, stride: 2 }, both, 'patches'), 'patches');
    assert.equal(table.fastest(job, { ...shape, batch: 1024 }, both, 'patches'), 'patches');
    assert.equal(table.fastest('input-gradient', shape, both, 'patches'), 'patches');
  });

  it('leaves out what does not apply', () => {
    assert.equal(table.fastest(job, shape, ['patches', 'swapped'], 'swapped'), 'patches');
  });
});

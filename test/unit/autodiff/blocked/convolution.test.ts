import assert from 'node:assert/strict';
import { appendBackward } from '../../../../engine/autodiff/backward';
import { blockedForward } from '../../../../engine/autodiff/blocked/blockedForward';
import { enterBlocks } from '../../../../engine/autodiff/blocked/emit';
import { type BlockedConv, blockedConvOf } from '../../../../engine/autodiff/blocked/sizes';
import { WEIGHT_GRADIENT_FORMS } from '../../../../engine/autodiff/blocked/weightGradient';
import { weightEncoding } from '../../../../engine/autodiff/blocked/weightEncoding';
import type { Node } from '../../../../engine/graph/graph';
import { Random } from '../../../../engine/graph/random';
import { type Tensor, elementCount, float32 } from '../../../../engine/graph/tensor';
import { GraphBuilder } from '../../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../../support/close';
import { type ConvCase, eachProduct, outputSize } from '../../../support/convReference';

const CASES: Readonly<Record<string, ConvCase>> = {
  '3x3': { n: 4, c: 16, k: 32, size: [6, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '3x3 of odd channels': { n: 3, c: 11, k: 13, size: [5, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '3x3 without border': { n: 2, c: 16, k: 16, size: [6, 6], kernel: [3, 3], stride: 1, pads: [0, 0, 0, 0] },
  '3x3 with a lopsided border': { n: 2, c: 16, k: 16, size: [6, 6], kernel: [3, 3], stride: 1, pads: [0, 1, 2, 1] },
  '3x3 over 16 samples': { n: 16, c: 16, k: 32, size: [4, 4], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '3x3, stride 2': { n: 4, c: 16, k: 32, size: [8, 8], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1] },
  '3x3, stride 2, odd size': { n: 2, c: 16, k: 16, size: [7, 9], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1] },
  '3x3, stride 2, no border': { n: 2, c: 16, k: 16, size: [8, 7], kernel: [3, 3], stride: 2, pads: [0, 0, 0, 0] },
  '1x1': { n: 3, c: 32, k: 16, size: [5, 4], kernel: [1, 1], stride: 1, pads: [0, 0, 0, 0] },
  '1x1, stride 2': { n: 4, c: 16, k: 32, size: [8, 8], kernel: [1, 1], stride: 2, pads: [0, 0, 0, 0] },
  '5x3': { n: 2, c: 16, k: 16, size: [7, 6], kernel: [5, 3], stride: 1, pads: [2, 1, 2, 1] },
  '7x7, stride 2': { n: 2, c: 16, k: 16, size: [12, 12], kernel: [7, 7], stride: 2, pads: [3, 3, 3, 3] },
  '3x3 over 19 samples': { n: 19, c: 16, k: 16, size: [4, 3], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  '1x1 over 18 samples, stride 2': { n: 18, c: 16, k: 16, size: [5, 5], kernel: [1, 1], stride: 2, pads: [0, 0, 0, 0] },
  'dilated 3x3': { n: 4, c: 16, k: 32, size: [7, 8], kernel: [3, 3], stride: 1, pads: [2, 2, 2, 2], dilation: 2 },
  'dilated 3x3 of odd channels over 16 samples': {
    n: 16,
    c: 11,
    k: 13,
    size: [8, 7],
    kernel: [3, 3],
    stride: 1,
    pads: [3, 2, 3, 1],
    dilation: 3,
  },
  'dilated depthwise': { n: 2, c: 20, k: 20, size: [7, 6], kernel: [3, 3], stride: 1, pads: [2, 2, 2, 2], groups: 20, dilation: 2 },
  image: { n: 4, c: 3, k: 16, size: [6, 6], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1] },
  'image, 7x7, stride 2': { n: 2, c: 3, k: 32, size: [12, 12], kernel: [7, 7], stride: 2, pads: [3, 3, 3, 3] },
  depthwise: { n: 3, c: 16, k: 16, size: [6, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 16 },
  'depthwise, odd channels, stride 2': { n: 2, c: 20, k: 20, size: [8, 8], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1], groups: 20 },
  'groups of whole blocks': { n: 3, c: 32, k: 64, size: [5, 6], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 2 },
  'groups of whole blocks, stride 2': { n: 2, c: 64, k: 64, size: [8, 7], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1], groups: 2 },
  'groups of four channels': { n: 2, c: 32, k: 32, size: [6, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 8 },
  'groups of four channels over 16 samples, stride 2': {
    n: 16,
    c: 32,
    k: 64,
    size: [6, 6],
    kernel: [3, 3],
    stride: 2,
    pads: [1, 1, 1, 1],
    groups: 8,
  },
  'groups that fill no blocks': { n: 2, c: 30, k: 12, size: [5, 4], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 3 },
  'grouped 1x1': { n: 3, c: 64, k: 32, size: [4, 5], kernel: [1, 1], stride: 1, pads: [0, 0, 0, 0], groups: 2 },
  'two filters for each channel': { n: 2, c: 32, k: 64, size: [5, 5], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 32 },
  'three groups of whole blocks': { n: 6, c: 48, k: 48, size: [4, 3], kernel: [3, 3], stride: 1, pads: [1, 1, 1, 1], groups: 3 },
  'dilated groups': { n: 2, c: 32, k: 32, size: [7, 6], kernel: [3, 3], stride: 1, pads: [2, 2, 2, 2], groups: 4, dilation: 2 },
  'depthwise, stride 2, odd size': { n: 2, c: 16, k: 16, size: [7, 7], kernel: [3, 3], stride: 2, pads: [1, 1, 1, 1], groups: 16 },
};

const runtime = openRuntime();

const shapesOf = (c: ConvCase) => ({
  x: [c.n, c.c, ...c.size],
  w: [c.k, c.c / (c.groups ?? 1), ...c.kernel],
  y: [c.n, c.k, ...outputSize(c)],
});

function randomTensor(random: Random, dims: readonly number[]): Tensor & { data: Float32Array } {
  return float32(
    dims,
    Float32Array.from({ length: elementCount(dims) }, () => random.normal()),
  );
}

function convNode(builder: GraphBuilder, c: ConvCase): Node {
  builder.emitNamed(
    'Conv',
    ['x', 'w'],
    {
      kernel_shape: c.kernel,
      strides: [c.stride, c.stride],
      pads: c.pads,
      group: c.groups ?? 1,
      dilations: [c.dilation ?? 1, c.dilation ?? 1],
    },
    ['y'],
  );
  return builder.graph.nodes[0] as Node;
}

const sizesOf = (c: ConvCase, block: number, isImage: boolean): BlockedConv => {
  const { x, w, y } = shapesOf(c);
  const builder = new GraphBuilder('sizes');
  builder.input('x', x);
  builder.input('w', w);
  const sizes = blockedConvOf(convNode(builder, c), x, w, y, block, isImage);
  if (!sizes) throw new Error('No blocked form');
  return sizes;
};

async function run(builder: GraphBuilder, outputs: readonly string[], feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>> {
  outputs.forEach((o) => builder.output(o));
  const program = await runtime.compile(builder.graph);
  try {
    return await program.run(new Map([...feeds].filter(([name]) => program.inputs.includes(name))));
  } finally {
    program.dispose();
  }
}

const data = (results: ReadonlyMap<string, Tensor>, name: string): Float32Array => results.get(name)!.data as Float32Array;

describe('blocked convolutions against their definition in double precision', function () {
  let block = 1;
  before(async function () {
    block = (await runtime.blockedKernels?.())?.block ?? 1;
    if (block === 1) this.skip();
  });

  for (const [name, c] of Object.entries(CASES)) {
    it(`${name}: output and input gradient`, async () => {
      const random = new Random(7);
      const shapes = shapesOf(c);
      const [x, w, g] = [randomTensor(random, shapes.x), randomTensor(random, shapes.w), randomTensor(random, shapes.y)];
      const plain = new GraphBuilder('plain');
      plain.input('x', shapes.x);
      plain.input('w', shapes.w);
      plain.input('g', shapes.y);
      const node = convNode(plain, c);
      const image = c.c < 8 && !c.groups;
      const pass = blockedForward(plain, [node], { block, wanted: new Set(image ? ['w', 'y'] : ['x', 'w', 'y']), kept: new Set(['y']) })!;
      const gradients = appendBackward(pass.builder, pass.nodes, new Map([['y', 'g']]), image ? ['w'] : ['x', 'w']);
      const [dx = '', dw = ''] = [gradients.get('x'), gradients.get('w')];
      const encoding = pass.encodings.get('w')!;
      const results = await run(
        pass.builder,
        ['y', dw, ...(image ? [] : [dx])],
        new Map([
          ['x', x],
          ['w', encoding.encode(w)],
          ['g', g],
        ]),
      );
      const expected = { y: new Float64Array(g.data.length), x: new Float64Array(x.data.length), w: new Float64Array(w.data.length) };
      eachProduct(c, (i, j, o) => {
        expected.y[o]! += x.data[i]! * w.data[j]!;
        expected.x[i]! += g.data[o]! * w.data[j]!;
        expected.w[j]! += g.data[o]! * x.data[i]!;
      });
      assertClose(data(results, 'y'), expected.y, 1e-5, 'output');
      if (!image) assertClose(data(results, dx), expected.x, 1e-5, 'input gradient');
      const plainGradient = encoding.decode(results.get(dw)!);
      assertClose(plainGradient.data as Float32Array, expected.w, 1e-5, 'weight gradient');
      const zerosBeside = encoding.encode(plainGradient).data as Float32Array;
      assert.ok(
        zerosBeside.every((v, i) => v === data(results, dw)[i]),
        'nothing flows into padding',
      );
    });

    it(`${name}: weight gradient in every form that applies`, async () => {
      const sizes = sizesOf(c, block, c.c < block && !c.groups);
      const forms = WEIGHT_GRADIENT_FORMS.filter((form) => form.applies(sizes));
      assert.ok(forms.length > 0);
      for (const form of forms) {
        const random = new Random(9);
        const shapes = shapesOf(c);
        const [x, g] = [randomTensor(random, shapes.x), randomTensor(random, shapes.y)];
        const builder = new GraphBuilder('form');
        builder.input('x', shapes.x);
        builder.input('g', shapes.y);
        const dw = form.emit(
          builder,
          sizes,
          sizes.kind === 'image' ? 'x' : enterBlocks(builder, 'x', block),
          enterBlocks(builder, 'g', block),
        );
        const results = await run(
          builder,
          [dw],
          new Map([
            ['x', x],
            ['g', g],
          ]),
        );
        const expected = new Float64Array(elementCount(shapes.w));
        eachProduct(c, (i, j, o) => {
          expected[j]! += g.data[o]! * x.data[i]!;
        });
        assertClose(
          weightEncoding(shapes.w, sizes).decode(results.get(dw)!).data as Float32Array,
          expected,
          1e-5,
          `weight gradient as ${form.name}`,
        );
      }
    });
  }
});

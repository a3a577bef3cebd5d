import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type ExpandedRules, appendBackward, appendForward } from '../../../engine/autodiff/backward';
import { buildTrainingGraph } from '../../../engine/autodiff/trainingGraph';
import { type Tensor, elementCount, float32, numbersOf } from '../../../engine/graph/tensor';
import type { Node } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { GraphBuilder, toAttributes } from '../../../engine/ops/graphBuilder';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../support/close';

interface Array_ {
  readonly dims: number[];
  readonly data: number[];
}

interface Case {
  readonly name: string;
  readonly op: string;
  readonly attributes: Record<string, number | string | string[]>;
  /** In ONNX's order; null where absent. Input 4 holds the lengths. */
  readonly inputs: (Array_ | null)[];
  readonly weights: number[][];
  readonly outputs: Array_[];
  readonly gradients: (number[] | null)[];
}

const LENGTHS = 4;
const cases = JSON.parse(readFileSync(path.join(__dirname, '../../fixtures/gradients/recurrent.json'), 'utf8')) as Case[];

const transpose = ({ dims, data }: Array_, perm: number[]): Array_ => {
  const target = perm.map((axis) => dims[axis] ?? 1);
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const result = data.map((_, i) => {
    let [rest, at] = [i, 0];
    for (let axis = target.length - 1; axis >= 0; axis--) {
      at += (rest % target[axis]!) * strides[perm[axis]!]!;
      rest = Math.floor(rest / target[axis]!);
    }
    return data[at]!;
  });
  return { dims: target, data: result };
};

/** The same case with the batch first (layout 1), which onnxruntime itself does not run. */
function batchFirst(c: Case): Case {
  const swap = (a: Array_ | null): Array_ | null => a && transpose(a, [1, 0, 2]);
  const outputs = c.outputs.map((o, i) => (i === 0 ? transpose(o, [2, 0, 1, 3]) : transpose(o, [1, 0, 2])));
  const laidOut = (i: number, data: number[], inverse: number[]): number[] => transpose({ dims: c.outputs[i]!.dims, data }, inverse).data;
  return {
    ...c,
    name: `${c.name} layout 1`,
    attributes: { ...c.attributes, layout: 1 },
    inputs: c.inputs.map((a, i) => (i === 0 || i > LENGTHS ? swap(a) : a)),
    outputs,
    weights: c.weights.map((w, i) => laidOut(i, w, i === 0 ? [2, 0, 1, 3] : [1, 0, 2])),
    gradients: c.gradients.map((g, i) =>
      g && (i === 0 || i > LENGTHS) ? transpose({ dims: c.inputs[i]!.dims, data: g }, [1, 0, 2]).data : g,
    ),
  };
}

const tensorOf = (a: Array_, i: number): Tensor =>
  i === LENGTHS ? { type: 'int32', dims: a.dims, data: Int32Array.from(a.data) } : float32(a.dims, a.data);

function nodeOf(builder: GraphBuilder, c: Case): { node: Node; inputs: string[] } {
  const inputs = c.inputs.map((a, i) => (a ? builder.input(`x${i}`, a.dims, i === LENGTHS ? 'int32' : 'float32') : ''));
  const outputs = c.outputs.map((_, i) => `y${i}`);
  return { node: { name: 'cell', op: c.op, domain: '', inputs, outputs, attributes: toAttributes(c.attributes) }, inputs };
}

const feedsOf = (c: Case): Map<string, Tensor> => new Map(c.inputs.flatMap((a, i) => (a ? [[`x${i}`, tensorOf(a, i)] as const] : [])));

describe("recurrent operators against PyTorch's", () => {
  const runtime = openRuntime();

  async function run(builder: GraphBuilder, feeds: Map<string, Tensor>): Promise<Map<string, Tensor>> {
    const program = await runtime.compile(builder.graph);
    try {
      return await program.run(new Map([...feeds].filter(([name]) => program.inputs.includes(name))));
    } finally {
      program.dispose();
    }
  }

  async function check(c: Case): Promise<void> {
    const builder = new GraphBuilder('case');
    const { node, inputs } = nodeOf(builder, c);
    const rules: ExpandedRules = new Map();
    appendForward(builder, node, rules);
    const seeds = new Map(node.outputs.map((name, i) => [name, builder.input(`seed${i}`, c.outputs[i]!.dims)]));
    const wanted = inputs.filter((name, i) => name && i !== LENGTHS);
    const gradients = appendBackward(builder, [node], seeds, wanted, rules);
    [...node.outputs, ...gradients.values()].forEach((value) => builder.output(value));
    const feeds = feedsOf(c);
    c.weights.forEach((w, i) => feeds.set(`seed${i}`, float32(c.outputs[i]!.dims, w)));
    const result = await run(builder, feeds);
    c.outputs.forEach((o, i) => {
      assert.deepEqual(result.get(`y${i}`)!.dims, o.dims);
      assertClose(result.get(`y${i}`)!.data as Float32Array, o.data, 1e-5, `output ${i}`);
    });
    inputs.forEach((name, i) => {
      if (c.gradients[i]) assertClose(result.get(gradients.get(name) ?? '')!.data as Float32Array, c.gradients[i], 1e-4, `gradient ${i}`);
    });
  }

  for (const c of cases) it(c.name, () => check(c));
  for (const c of cases.filter((c) => c.name.includes('bidirectional h0'))) it(`${c.name}, batch first`, () => check(batchFirst(c)));

  it('unrolls a reversed GRU that resets first as onnxruntime runs it, and differentiates it', async () => {
    const random = new Random(4);
    const values = (...dims: number[]): Array_ => ({ dims, data: Array.from({ length: elementCount(dims) }, () => random.normal()) });
    const inputs = [values(3, 2, 4), values(1, 6, 4), values(1, 6, 2), values(1, 12), { dims: [2], data: [3, 2] }, values(1, 2, 2)];
    const outputs = [values(3, 1, 2, 2), values(1, 2, 2)];
    const c: Case = {
      name: '',
      op: 'GRU',
      attributes: { hidden_size: 2, direction: 'reverse' },
      inputs,
      outputs,
      weights: outputs.map((o) => o.data),
      gradients: [],
    };
    const plain = new GraphBuilder('plain');
    plain.append(nodeOf(plain, c).node);
    ['y0', 'y1'].forEach((y) => plain.output(y));
    const program = await runtime.compile(plain.graph);
    try {
      const objective = async (feeds: Map<string, Tensor>): Promise<number> => {
        const result = await program.run(feeds);
        return outputs.reduce((sum, o, i) => sum + o.data.reduce((s, w, k) => s + w * Number(result.get(`y${i}`)!.data[k]), 0), 0);
      };
      const expected = await program.run(feedsOf(c));
      const gradients: (number[] | null)[] = [];
      for (const i of [0, 1, 2, 3, 5])
        gradients[i] = await Promise.all(
          inputs[i]!.data.map(async (v, k) => {
            const at = (by: number): Promise<number> => {
              const data = [...inputs[i]!.data];
              data[k] = v + by;
              return objective(feedsOf({ ...c, inputs: inputs.map((a, j) => (j === i ? { ...a, data } : a)) }));
            };
            return ((await at(1e-2)) - (await at(-1e-2))) / 2e-2;
          }),
        );
      const builder = new GraphBuilder('case');
      const { node, inputs: names } = nodeOf(builder, c);
      const rules: ExpandedRules = new Map();
      appendForward(builder, node, rules);
      const seeds = new Map(node.outputs.map((name, i) => [name, builder.input(`seed${i}`, outputs[i]!.dims)]));
      const found = appendBackward(
        builder,
        [node],
        seeds,
        names.filter((_, i) => i !== LENGTHS),
        rules,
      );
      [...node.outputs, ...found.values()].forEach((value) => builder.output(value));
      const feeds = feedsOf(c);
      outputs.forEach((o, i) => feeds.set(`seed${i}`, float32(o.dims, o.data)));
      const result = await run(builder, feeds);
      for (const y of ['y0', 'y1']) assertClose(result.get(y)!.data as Float32Array, numbersOf(expected.get(y)!), 1e-5, y);
      names.forEach((name, i) => {
        if (gradients[i]) assertClose(result.get(found.get(name) ?? '')!.data as Float32Array, gradients[i], 2e-3, `gradient ${i}`);
      });
    } finally {
      program.dispose();
    }
  });

  it('leaves out the product with input weights that are the identity, and is the same', async () => {
    for (const directions of [1, 2]) {
      const values = new Random(directions);
      const [steps, batch, hidden] = [3, 2, 2];
      const wide = directions * 4 * hidden;
      const make = (identity: boolean): { builder: GraphBuilder; outputs: string[] } => {
        const builder = new GraphBuilder('identity');
        const x = builder.input('x', [steps, batch, wide]);
        const r = builder.input('r', [directions, 4 * hidden, hidden]);
        const eye = identity
          ? builder.emit('EyeLike', [builder.emit('ConstantOfShape', [builder.ints([wide, wide])])])
          : builder.floats(
              [wide, wide],
              Float32Array.from({ length: wide * wide }, (_, i) => (i % (wide + 1) === 0 ? 1 : 0)),
            );
        const w = builder.emit('Reshape', [eye, builder.ints([directions, 4 * hidden, wide])]);
        const attributes = toAttributes({ hidden_size: hidden, direction: directions === 2 ? 'bidirectional' : 'forward' });
        const node: Node = { name: 'cell', op: 'LSTM', domain: '', inputs: [x, w, r], outputs: ['y'], attributes };
        const rules: ExpandedRules = new Map();
        appendForward(builder, node, rules);
        const seed = builder.input('seed', [steps, directions, batch, hidden]);
        const outputs = ['y', ...appendBackward(builder, [node], new Map([['y', seed]]), [x, r], rules).values()];
        outputs.forEach((value) => builder.output(value));
        return { builder, outputs };
      };
      const draw = (...dims: number[]): Tensor =>
        float32(
          dims,
          Float32Array.from({ length: elementCount(dims) }, () => values.normal()),
        );
      const feeds = new Map([
        ['x', draw(steps, batch, wide)],
        ['r', draw(directions, 4 * hidden, hidden)],
        ['seed', draw(steps, directions, batch, hidden)],
      ]);
      const [short, long] = [make(true), make(false)];
      const products = ({ builder }: { builder: GraphBuilder }): number => builder.graph.nodes.filter((n) => n.op === 'Gemm').length;
      assert.equal(products(long) - products(short), 2 * directions);
      const [a, b] = [await run(short.builder, feeds), await run(long.builder, feeds)];
      short.outputs.forEach((name, i) =>
        assertClose(a.get(name)!.data as Float32Array, numbersOf(b.get(long.outputs[i] ?? '')!), 1e-5, name),
      );
    }
  });

  it('builds the training step of 400 unrolled steps, over 10,000 operators, in seconds', () => {
    const [steps, features, hidden] = [400, 3, 2];
    const builder = new GraphBuilder('long');
    const weight = (name: string, ...dims: number[]): string => builder.initializer(name, float32(dims));
    const x = builder.emit('Transpose', [builder.input('x', ['N', steps, features])], { perm: [1, 0, 2] });
    const [, h = ''] = builder.emitAll('LSTM', [x, weight('W', 1, 8, features), weight('R', 1, 8, hidden)], { hidden_size: hidden }, 2);
    builder.output(builder.emit('Gemm', [builder.emit('Squeeze', [h, builder.ints([0])]), weight('fc', hidden, 2)]), 'logits');
    const start = performance.now();
    const { graph } = buildTrainingGraph(builder.graph, { batch: 4, training: true, optimiser: { kind: 'sgd' } });
    assert.ok(graph.nodes.length > 10_000, `${graph.nodes.length} nodes`);
    assert.ok(performance.now() - start < 20_000);
  });
});

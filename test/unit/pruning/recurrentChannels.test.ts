import assert from 'node:assert/strict';
import { type Graph, copyGraph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { elementCount, float32 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { foldConstants } from '../../../engine/ops/foldConstants';
import { inferShapes } from '../../../engine/ops/inferShapes';
import { findChannelGroups } from '../../../engine/pruning/channelGroups';
import { insertGates, mergeGates } from '../../../engine/pruning/gates';
import { maskedDifference, outputDifference } from '../../../engine/pruning/maskedDifference';
import { SelectionCost } from '../../../engine/pruning/selectionCost';
import { sliceNetwork } from '../../../engine/pruning/slice';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';

const KINDS = [
  { op: 'LSTM', gates: 4, outputs: 3 },
  { op: 'GRU', gates: 3, outputs: 2 },
  { op: 'RNN', gates: 1, outputs: 2 },
] as const;

/** Two recurrent layers, written as PyTorch exports them, behind a linear layer and before another. */
function recurrentNetwork(seed: number): Graph {
  const random = new Random(seed);
  const builder = new GraphBuilder(`recurrent${seed}`);
  let names = 0;
  const weight = (...dims: number[]): string =>
    builder.initializer(
      `w${names++}`,
      float32(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => random.normal(0, 0.5)),
      ),
    );
  const layer = (x: string, features: number, hidden: number): { y: string; h: string; width: number } => {
    const { op, gates, outputs } = KINDS[random.integer(3)] as (typeof KINDS)[number];
    const directions = 1 + random.integer(2);
    const direction = directions === 2 ? 'bidirectional' : random.uniform() < 0.3 ? 'reverse' : 'forward';
    const inputs = [x, weight(directions, gates * hidden, features), weight(directions, gates * hidden, hidden)];
    if (random.uniform() < 0.7) inputs.push(weight(directions, 2 * gates * hidden));
    const attributes = { hidden_size: hidden, direction, ...(op === 'GRU' ? { linear_before_reset: random.integer(2) } : {}) };
    const [y = '', h = ''] = builder.emitAll(op, inputs, attributes, outputs);
    const joined = builder.emit('Reshape', [builder.emit('Transpose', [y], { perm: [0, 2, 1, 3] }), builder.ints([0, 0, -1])]);
    return { y: directions === 1 ? builder.emit('Squeeze', [y, builder.ints([1])]) : joined, h, width: directions * hidden };
  };
  const projected = builder.emit('MatMul', [builder.input('x', ['N', 4, 6]), weight(6, 7)]);
  const sequence = builder.emit('Transpose', [builder.emit('Tanh', [projected])], { perm: [1, 0, 2] });
  const first = layer(sequence, 7, 8);
  const second = layer(first.y, first.width, 5);
  const zero = builder.constant({ type: 'int64', dims: [], data: BigInt64Array.of(0n) });
  const last =
    random.uniform() < 0.5
      ? { value: builder.emit('Gather', [second.h, zero], { axis: 0 }), width: 5 }
      : { value: builder.emit('ReduceMean', [second.y], { axes: [0], keepdims: 0 }), width: second.width };
  builder.output(builder.emit('Gemm', [last.value, weight(3, last.width), weight(3)], { transB: 1 }), 'logits');
  return builder.graph;
}

describe('recurrent layers under surgery', () => {
  const runtime = openRuntime();
  const SEEDS = 40;

  it(`slicing hidden units and features equals masking them on ${SEEDS} random networks`, async function () {
    this.timeout(60_000);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const network = findChannelGroups(recurrentNetwork(seed));
      assert.deepEqual(
        network.groups.map((g) => g.channels.length),
        [7, 8, 5],
        `seed ${seed}: ${network.locked.map((l) => `${l.layer}: ${l.reason}`).join('; ')}`,
      );
      const random = new Random(seed, 1);
      const selection = new Map(
        network.groups.map((g) => [g.id, g.channels.map((_, i) => i).filter((i) => i < 2 || random.uniform() < 0.6)]),
      );
      const pruned = sliceNetwork(network, selection);
      assert.ok((await maskedDifference(runtime, network, pruned, selection)) < 1e-5, `seed ${seed}`);
      assert.deepEqual(new SelectionCost(findChannelGroups(pruned)).of(), new SelectionCost(network).of(selection));
    }
  });

  it('a gate of zero on a hidden unit is its removal', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const graph = recurrentNetwork(seed);
      const network = findChannelGroups(graph);
      const { graph: gated, gates } = insertGates(network, true);
      assert.ok((await outputDifference(runtime, gated, graph)) < 1e-6, `seed ${seed}: gates change the function`);
      const all = [...gates.values()].flat();
      assert.equal(all.filter((g) => g.kind === 'state').length, 2);
      assert.deepEqual(
        mergeGates(gated, all).nodes.map((n) => [n.name, n.inputs, n.outputs]),
        graph.nodes.map((n) => [n.name, n.inputs, n.outputs]),
      );
      const group = network.groups[1]!;
      const closed = copyGraph(gated);
      const gate = gates.get(group.id)![0]!.name;
      closed.initializers.set(gate, float32([8], [1, 1, 0, 1, 1, 1, 0, 1]));
      const pruned = sliceNetwork(network, new Map([[group.id, [0, 1, 3, 4, 5, 7]]]));
      assert.ok((await outputDifference(runtime, pruned, closed)) < 1e-5, `seed ${seed}`);
    }
  });

  it('initial states of zeros that an exporter wrote out do not stand in the way', () => {
    const builder = new GraphBuilder('zeros');
    const x = builder.input('x', ['N', 4, 3]);
    const size = builder.emit('Gather', [
      builder.emit('Shape', [x]),
      builder.constant({ type: 'int64', dims: [], data: BigInt64Array.of(0n) }),
    ]);
    const dims = builder.emit('Concat', [builder.ints([1]), builder.emit('Unsqueeze', [size, builder.ints([0])]), builder.ints([5])], {
      axis: 0,
    });
    const zeros = builder.emit('ConstantOfShape', [dims], { value: float32([1]) });
    const weight = (name: string, ...shape: number[]): string => builder.initializer(name, float32(shape));
    const inputs = [
      builder.emit('Transpose', [x], { perm: [1, 0, 2] }),
      weight('W', 1, 20, 3),
      weight('R', 1, 20, 5),
      '',
      '',
      zeros,
      zeros,
    ];
    const [, h = ''] = builder.emitAll('LSTM', inputs, { hidden_size: 5 }, 2);
    builder.output(builder.emit('Gemm', [builder.emit('Squeeze', [h, builder.ints([0])]), weight('fc', 5, 2)]), 'logits');
    const folded = foldConstants(builder.graph, inferShapes(builder.graph));
    assert.deepEqual(
      folded.nodes.map((n) => n.op),
      ['Transpose', 'LSTM', 'Squeeze', 'Gemm', 'Identity'],
    );
    assert.equal(findChannelGroups(folded).groups[0]?.channels.length, 5);
  });
});

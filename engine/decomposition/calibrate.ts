import { SurgeryError } from '../graph/errors';
import { type Graph, copyGraph } from '../graph/graph';
import { Random } from '../graph/random';
import { type Tensor, elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import { parametersOf } from '../ops/parameters';
import type { Runtime } from '../runtime/runtime';
import { learningRate } from '../training/schedule';
import { Trainer } from '../training/trainer';
import type { ReplaceableLayer } from './replaceable';

export interface CalibrationOptions {
  readonly epochs?: number;
  readonly batch?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number, message: string): void;
}

/** ||y - y'|| / ||y|| of the layer's outputs on samples that the refinement has not seen. */
export interface Calibration {
  readonly samples: number;
  readonly heldOut: number;
  readonly before: number;
  readonly after: number;
  /** Whether the refined weights were kept: they are only when the held-out error fell. */
  readonly kept: boolean;
}

/** Part of the samples that only measures. */
const HELD_OUT = 0.25;
/** Peak learning rate relative to the root mean square of a tensor's elements, which a balanced form has alike everywhere. */
const RATE = 0.03;
/** Bytes of the layer's inputs at most. */
export const MOST_BYTES = 2 ** 29;

/**
 * The layer by itself: input [N, ...], output [N, ...]. A recurrent layer starts from zeros and gives the states of all steps,
 * [N, T, D, H], of full-length sequences.
 */
export function isolateLayer(graph: Graph, { node, kind }: ReplaceableLayer, sample: readonly number[]): Graph {
  const recurrent = kind === 'recurrent';
  const builder = new GraphBuilder(node.name, graph.opsets.get('') ?? 17);
  const x = builder.input('x', ['N', ...sample]);
  const data = recurrent ? builder.emit('Transpose', [x], { perm: [1, 0, 2] }) : x;
  const weights = node.inputs.slice(1, recurrent ? 4 : undefined).map((name) => {
    const tensor = graph.initializers.get(name);
    return tensor ? builder.initializer(name, tensor) : '';
  });
  const output = `${node.name}/output`;
  builder.append({ ...node, inputs: [data, ...weights], outputs: [output], source: undefined });
  builder.output(recurrent ? builder.emit('Transpose', [output], { perm: [2, 0, 1, 3] }) : output, 'y');
  return builder.graph;
}

/** A recurrent layer's input has its steps first; as samples they come first. */
export function asSamples(x: Tensor, { kind }: ReplaceableLayer): Tensor & { data: Float32Array } {
  const data = x.data as Float32Array;
  if (kind !== 'recurrent') return float32(x.dims, data);
  const [steps = 1, count = 1, size = 1] = x.dims;
  const result = float32([count, steps, size]);
  for (let t = 0; t < steps; t++)
    for (let n = 0; n < count; n++)
      result.data.set(data.subarray((t * count + n) * size, (t * count + n + 1) * size), (n * steps + t) * size);
  return result;
}

/**
 * Refines the new weights of a replaced layer by Adam, so that its outputs, and not only its weight, come close to those that
 * the layer had.
 *
 * @param isolated the layer as it was, from `isolateLayer`
 * @param replaced the same with its replacement
 * @param x inputs of the layer, [N, ...]
 * @returns the refined weights by name
 */
export async function calibrate(
  runtime: Runtime,
  isolated: Graph,
  replaced: Graph,
  x: Tensor & { data: Float32Array },
  options: CalibrationOptions = {},
): Promise<Calibration & { readonly weights: ReadonlyMap<string, Tensor> }> {
  const { epochs = 60, seed = 1, threads, signal } = options;
  const count = x.dims[0] ?? 0;
  const heldOut = Math.floor(count * HELD_OUT);
  const seen = count - heldOut;
  const batch = Math.min(options.batch ?? 32, seen);
  if (heldOut < 1 || batch < 1)
    throw new SurgeryError('option-invalid', `--calibrate ${count} is too few samples; a quarter of them is held out`);
  const y = await outputsOf(runtime, isolated, x, options);
  const added = parametersOf(replaced).filter((name) => !isolated.initializers.has(name));
  const test = { x: rows(x, seen, count), y: rows(y, seen, count) };
  const before = await relativeError(runtime, replaced, test, options);
  const peak = RATE * Math.min(...added.map((name) => rootMeanSquare(replaced.initializers.get(name) as Tensor)));
  const optimiser = { kind: 'adam' } as const;
  const trainer = await Trainer.create(runtime, replaced, { batch, optimiser, seed, threads, parameters: added, loss: 'squared', layout: 'portable' }); // prettier-ignore
  try {
    const perEpoch = Math.floor(seen / batch);
    const total = epochs * perEpoch;
    const random = new Random(seed, 31);
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = random.permutation(seen);
      for (let at = 0; at < perEpoch; at++) {
        const chosen = order.slice(at * batch, (at + 1) * batch);
        const step = epoch * perEpoch + at;
        const rate = learningRate({ kind: 'cosine', rate: peak, warmup: 10 }, step, total);
        const { loss } = await trainer.step(pick(x, chosen), pick(y, chosen), rate, { signal });
        options.onProgress?.(step + 1, total, `squared error ${loss.toPrecision(3)}`);
      }
    }
    await trainer.sync();
    const refined = trainer.weights();
    const after = await relativeError(runtime, refined, test, options);
    const kept = after < before;
    const from = kept ? refined : replaced;
    const weights = new Map(added.map((name) => [name, from.initializers.get(name) as Tensor]));
    return { samples: count, heldOut, before, after, kept, weights };
  } finally {
    trainer.dispose();
  }
}

/** The network with weights in the place of those that a replacement brought, which are the same ones in the same order. */
export function withWeights(replaced: Graph, original: Graph, weights: ReadonlyMap<string, Tensor>): Graph {
  const graph = copyGraph(replaced);
  const added = parametersOf(replaced).filter((name) => !original.initializers.has(name));
  if (added.length !== weights.size) throw new SurgeryError('internal', 'A replacement does not have the weights that were refined');
  [...weights.values()].forEach((tensor, n) => graph.initializers.set(added[n] ?? '', tensor));
  return graph;
}

async function outputsOf(
  runtime: Runtime,
  graph: Graph,
  x: Tensor & { data: Float32Array },
  { threads, signal }: CalibrationOptions,
): Promise<Tensor & { data: Float32Array }> {
  const program = await runtime.compile(graph, { threads });
  try {
    const y = (await program.run(new Map([['x', x]]), { signal })).get('y') as Tensor;
    return float32(y.dims, y.data as Float32Array);
  } finally {
    program.dispose();
  }
}

async function relativeError(
  runtime: Runtime,
  graph: Graph,
  { x, y }: Record<'x' | 'y', Tensor & { data: Float32Array }>,
  options: CalibrationOptions,
): Promise<number> {
  const found = await outputsOf(runtime, graph, x, options);
  let [difference, energy] = [0, 0];
  y.data.forEach((v, i) => {
    difference += (v - (found.data[i] as number)) ** 2;
    energy += v * v;
  });
  return Math.sqrt(difference / energy);
}

const rowSize = ({ dims }: Tensor): number => elementCount(dims.slice(1));

const rows = (t: Tensor & { data: Float32Array }, from: number, to: number): Tensor & { data: Float32Array } =>
  float32([to - from, ...t.dims.slice(1)], t.data.subarray(from * rowSize(t), to * rowSize(t)));

function pick(t: Tensor & { data: Float32Array }, chosen: Uint32Array): Tensor {
  const size = rowSize(t);
  const result = float32([chosen.length, ...t.dims.slice(1)]);
  chosen.forEach((row, n) => result.data.set(t.data.subarray(row * size, (row + 1) * size), n * size));
  return result;
}

const rootMeanSquare = ({ data }: Tensor): number =>
  Math.sqrt((data as Float32Array).reduce((sum, v) => sum + v * v, 0) / Math.max(1, data.length));

import { convertToTrainingOpset } from '../autodiff/convertOpset';
import { type Graph, copyGraph } from '../graph/graph';
import { elementCount, float32 } from '../graph/tensor';
import { costOf } from '../ops/cost';
import { inferShapes } from '../ops/inferShapes';
import type { Runtime } from '../runtime/runtime';
import type { Block } from './alternatingLeastSquares';
import { isolateLayer } from './calibrate';
import { replaceByBlocks } from './decompose';
import type { BlockTermShape } from './layerForms';
import { dense } from './products';
import { OLDEST_OPSET } from './replaceLayer';
import { type ReplaceableLayer, replaceableLayer, rowsOf, spatialOf } from './replaceable';

/** A layer by itself, or what stands for it, with a batch of samples: the operators that a file would have. */
export interface LayerAlone {
  readonly graph: Graph;
  /** Shape of its input x. */
  readonly x: readonly number[];
}

/** The layer as it stands in the graph; a recurrent one with its recurrence. */
export function layerAlone(graph: Graph, layer: ReplaceableLayer, batch: number): LayerAlone {
  const source = (graph.opsets.get('') ?? 1) < OLDEST_OPSET ? convertToTrainingOpset(graph) : graph;
  const found = replaceableLayer(source, layer.name);
  const rows = Math.max(1, rowsOf(source, found));
  const sample = { dense: [layer.inputs], recurrent: [rows, layer.inputs], convolution: [layer.inputs, ...spatialOf(source, found)] }[layer.kind]; // prettier-ignore
  return { graph: isolateLayer(source, found, sample), x: [layer.kind === 'dense' ? batch * rows : batch, ...sample] };
}

/** The same with a block-term form in the weight's place; its numbers mean nothing. */
export function replacedAlone({ graph, x }: LayerAlone, name: string, shape: BlockTermShape): LayerAlone {
  const layer = replaceableLayer(graph, name);
  const block: Block = {
    core: { dims: [...shape.ranks], data: new Float64Array(elementCount(shape.ranks)).fill(0.01) },
    factors: shape.ranks.map((rank, k) => {
      const rows = (shape.inputModes[k] ?? 1) * (shape.outputModes[k] ?? 1);
      return dense(rows, rank, new Float64Array(rows * rank).fill(0.01));
    }),
  };
  const rows = layer.kind === 'dense' ? (x[0] ?? 1) : rowsOf(graph, layer) * (x[0] ?? 1);
  return {
    graph: replaceByBlocks(
      graph,
      layer,
      shape,
      Array.from({ length: shape.blocks }, () => block),
      rows,
    ),
    x,
  };
}

/** A recurrent layer whose input was projected before: what a form that no plan can write would leave of it. */
export function projectedAlone({ graph, x }: LayerAlone, name: string): LayerAlone {
  const { weight, outputs, inputs } = replaceableLayer(graph, name);
  const projected = copyGraph(graph);
  const [directions = 1, wide = 1] = graph.initializers.get(weight)?.dims ?? [];
  projected.initializers.set(weight, float32([directions, wide, outputs], new Float32Array(directions * wide * outputs).fill(0.01)));
  const widened = (dims: readonly number[]): number[] => dims.map((d, i) => (i === dims.length - 1 && d === inputs ? outputs : d));
  projected.inputs = graph.inputs.map((input) => ({ ...input, shape: input.shape && [...input.shape.slice(0, -1), outputs] }));
  return { graph: projected, x: widened(x) };
}

/** Multiply-accumulates of one forward pass. */
export function macsAlone({ graph, x }: LayerAlone): number {
  const { types } = inferShapes(graph, new Map([['x', x]]));
  const shapeOf = (value: string): readonly number[] | undefined =>
    types.get(value)?.shape?.every((d) => typeof d === 'number') ? (types.get(value)?.shape as number[]) : undefined;
  return costOf(graph, shapeOf).totals.macs;
}

/** Median milliseconds of one forward pass, of nine. */
export async function timeAlone(
  runtime: Runtime,
  { graph, x }: LayerAlone,
  { threads, signal }: { readonly threads?: number; readonly signal?: AbortSignal } = {},
): Promise<number> {
  const program = await runtime.compile(graph, { threads });
  try {
    const feeds = new Map([['x', float32(x, new Float32Array(elementCount(x)).fill(0.5))]]);
    const times: number[] = [];
    for (let run = 0; run < 9; run++) {
      const start = performance.now();
      await program.run(feeds, { signal });
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[4] ?? NaN;
  } finally {
    program.dispose();
  }
}

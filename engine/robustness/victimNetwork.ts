import { type TrainingGraph, buildTrainingGraph } from '../autodiff/trainingGraph';
import type { Graph } from '../graph/graph';
import { type Tensor, elementCount, int64 } from '../graph/tensor';
import { NCHWC } from '../ops/nchwc';
import { blockSize, measuredCosts } from '../runtime/layout';
import type { MemoryOptions, Program, Runtime } from '../runtime/runtime';
import { type Batch, crossEntropy, lengthsOf } from '../training/evaluate';
import type { Judgement, Victim } from './attack';
import type { PixelSpace } from './pixelSpace';

/** A network in evaluation mode that tells losses and input gradients of batches of up to a fixed size. */
export class VictimNetwork {
  private constructor(
    private readonly space: PixelSpace,
    private readonly forward: { readonly graph: TrainingGraph; readonly program: Program },
    private readonly backward: { readonly graph: TrainingGraph; readonly program: Program },
    private readonly options: { readonly signal?: AbortSignal },
  ) {}

  /** @throws SurgeryError when the network cannot be differentiated, naming the node. */
  static async create(
    runtime: Runtime,
    network: Graph,
    space: PixelSpace,
    options: { readonly batch: number; readonly threads?: number; readonly memory?: MemoryOptions; readonly signal?: AbortSignal },
  ): Promise<VictimNetwork> {
    const block = await blockSize(runtime);
    const compiled = async (inputGradient: boolean) => {
      const kernels = inputGradient ? { block, costs: measuredCosts(runtime) } : {};
      const graph = buildTrainingGraph(network, { batch: options.batch, training: false, parameters: [], inputGradient, ...kernels });
      const { threads, memory } = options;
      // In blocks, too, what is made of the weights is computed once: they are constants here.
      const folded = graph.graph.opsets.has(NCHWC) ? { optimisation: 'basic' as const } : {};
      return { graph, program: await runtime.compile(graph.graph, { threads, memory, ...folded }) };
    };
    return new VictimNetwork(space, await compiled(false), await compiled(true), options);
  }

  /** The network facing the samples of one batch with these labels, and with these lengths where they are sequences. */
  facing({ y: labels, lengths }: Pick<Batch, 'y' | 'lengths'>): Victim {
    const y = Array.from(labels.data as BigInt64Array, Number);
    return {
      gradient: async (values) => {
        const { graph } = this.backward;
        const gradient = (await this.run(this.backward, values, y, lengths)).get(graph.gradients.get(graph.x) ?? '');
        return this.space.gradient((gradient?.data as Float32Array).subarray(0, values.length));
      },
      judge: async (values) => {
        const { graph } = this.forward;
        const logits = (await this.run(this.forward, values, y, lengths)).get(graph.logits)?.data as Float32Array;
        return judge(logits, logits.length / graph.batch, y);
      },
    };
  }

  dispose(): void {
    this.forward.program.dispose();
    this.backward.program.dispose();
  }

  /** A batch that is not full is filled up with zeros: in evaluation mode samples do not see each other. */
  private run(
    { graph, program }: { graph: TrainingGraph; program: Program },
    values: Float32Array,
    labels: readonly number[],
    lengths: Tensor | undefined,
  ): Promise<Map<string, Tensor>> {
    const dims = graph.graph.inputs.find((input) => input.name === graph.x)?.shape as readonly number[];
    const data = new Float32Array(elementCount(dims));
    data.set(this.space.toNetwork(values));
    const y = int64(
      [graph.batch],
      Array.from({ length: graph.batch }, (_, i) => labels[i] ?? 0),
    );
    const x: Tensor = { type: 'float32', dims, data };
    const feeds = new Map([
      [graph.x, x],
      [graph.y, y],
    ]);
    if (graph.lengths) feeds.set(graph.lengths.name, lengthsOf(graph.lengths, x, lengths));
    return program.run(feeds, { signal: this.options.signal });
  }
}

/** @param logits [batch, classes], of which the first rows belong to the labels */
function judge(logits: Float32Array, classes: number, labels: readonly number[]): Judgement {
  const rows = labels.map((_, i) => logits.subarray(i * classes, (i + 1) * classes));
  return {
    loss: Float64Array.from(rows, (row, i) => crossEntropy(row, labels[i] as number)),
    correct: Uint8Array.from(rows, (row, i) => (row.indexOf(Math.max(...row)) === labels[i] ? 1 : 0)),
  };
}

import { logitsOf } from '../autodiff/loss';
import { freeBatch } from '../autodiff/freeBatch';
import { classifierInputs } from '../autodiff/classifierInputs';
import { SurgeryError } from '../graph/errors';
import { type Graph, type NamedValue, copyGraph } from '../graph/graph';
import { removeUnused } from '../graph/removeUnused';
import type { Tensor } from '../graph/tensor';
import type { CompileOptions, Program, Runtime } from '../runtime/runtime';
import { type Batch, lengthsOf, reshapeTo } from './evaluate';

/** A classifier as its file stands, whose outputs another one learns to give. */
export class Teacher {
  private constructor(
    private readonly program: Program,
    private readonly inputs: { readonly x: NamedValue; readonly lengths?: NamedValue },
    private readonly output: string,
  ) {}

  /** @param options.batch samples of every batch */
  static async create(
    runtime: Runtime,
    network: Graph,
    options: Pick<CompileOptions, 'threads' | 'lowMemory'> & { readonly batch: number },
  ): Promise<Teacher> {
    const inputs = classifierInputs(network);
    const graph = copyGraph(freeBatch(network, inputs.x, options.batch));
    const output = logitsOf(graph);
    graph.outputs = [{ name: output, type: 'float32' }];
    removeUnused(graph);
    const { threads, lowMemory } = options;
    return new Teacher(await runtime.compile(graph, { threads, lowMemory }), inputs, output);
  }

  /** Logits [B, K] of a batch, without those of a softmax at the end. */
  async logits({ x, lengths }: Batch, signal?: AbortSignal): Promise<Tensor> {
    const { inputs, output, program } = this;
    const feeds = new Map([[inputs.x.name, reshapeTo(x, inputs.x.shape?.length)]]);
    if (inputs.lengths) feeds.set(inputs.lengths.name, lengthsOf(inputs.lengths, x, lengths));
    const logits = (await program.run(feeds, { signal })).get(output);
    if (logits?.type !== 'float32')
      throw new SurgeryError('operator-unsupported', `The teacher's output ${output} is ${logits?.type ?? 'missing'}, not float32`);
    return logits;
  }

  dispose(): void {
    this.program.dispose();
  }
}

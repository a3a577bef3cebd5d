import { classifierInputs } from '../autodiff/classifierInputs';
import { SurgeryError } from '../graph/errors';
import { type Graph, type NamedValue, copyGraph } from '../graph/graph';
import { type Tensor, elementCount } from '../graph/tensor';
import type { MemoryOptions, Program, Runtime } from '../runtime/runtime';

/** Smaller constants may tell an operator what to do, such as scales; they stay with it. */
const FEWEST_ELEMENTS = 16;

/** A network compiled to be evaluated. */
export interface EvaluationProgram {
  readonly program: Program;
  /** Samples that it takes at once, if not any number. */
  readonly batch?: number;
  /** Weights that every run is fed. */
  readonly weights: ReadonlyMap<string, Tensor>;
}

export interface EvaluationProgramOptions {
  readonly threads?: number;
  /** Most samples at once, within a memory budget. */
  readonly batch?: number;
  /** A pool of planned memory that holds evaluation. */
  readonly memory?: MemoryOptions;
}

/**
 * Compiles a network as its file stands; within a memory budget for as many samples as the pool of the training step has room for
 * between two steps, or else as a pool of its own holds.
 * @throws SurgeryError 'budget-impossible' when a pool does not hold one sample
 */
export async function evaluationProgram(
  runtime: Runtime,
  network: Graph,
  { threads, memory, batch = 1 }: EvaluationProgramOptions,
): Promise<EvaluationProgram> {
  const { x } = classifierInputs(network);
  const fixed = typeof x.shape?.[0] === 'number' ? x.shape[0] : undefined;
  if (!memory) return { program: await runtime.compile(network, { threads }), batch: fixed, weights: new Map() };
  const { budget, spillFolder, within } = memory;
  const pools: MemoryOptions[] = [{ budget, spillFolder, within }, ...(within ? [{ budget, spillFolder }] : [])];
  let failure: unknown;
  for (const pool of pools)
    for (let size = fixed ?? batch; size >= (fixed ?? 1); size = Math.floor(size / 2)) {
      const { graph, weights } = withWeightsFed(network, size);
      try {
        return { program: await runtime.compile(graph, { threads, memory: pool }), batch: size, weights };
      } catch (error) {
        if (!(error instanceof SurgeryError && error.code === 'budget-impossible')) throw error;
        failure = error;
      }
    }
  throw failure;
}

/** A network for `batch` samples whose weights are inputs: operators that differ in them alone are compiled once. */
function withWeightsFed(network: Graph, batch: number): { graph: Graph; weights: ReadonlyMap<string, Tensor> } {
  const graph = copyGraph(network);
  const { x, lengths } = classifierInputs(network);
  const bound = (value: NamedValue): NamedValue =>
    value.name === x.name || value.name === lengths?.name ? { ...value, shape: [batch, ...(value.shape ?? []).slice(1)] } : value;
  const weights = new Map(
    [...graph.initializers].filter(([, { type, dims }]) => type === 'float32' && elementCount(dims) >= FEWEST_ELEMENTS),
  );
  const fed = [...weights].map(([name, { type, dims }]): NamedValue => ({ name, type, shape: [...dims] }));
  graph.inputs = [...graph.inputs.filter(({ name }) => !weights.has(name)).map(bound), ...fed];
  for (const name of weights.keys()) graph.initializers.delete(name);
  graph.valueInfo.clear();
  graph.outputs = graph.outputs.map(({ name, type }) => ({ name, type }));
  return { graph, weights };
}

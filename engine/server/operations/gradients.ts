import { buildTrainingGraph } from '../../autodiff/trainingGraph';
import { readNpz, writeNpz } from '../../formats/npy/npz';
import { SurgeryError } from '../../graph/errors';
import { type Tensor, int64, numbersOf } from '../../graph/tensor';
import { lengthsOf } from '../../training/evaluate';
import { loadModel } from './loadModel';
import type { OperationContext } from './operation';
import { runtime } from './runtime';

export interface GradientResult {
  readonly loss: number;
  readonly parameters: readonly string[];
}

/** Loss and gradients of one batch, as an .npz with `loss` and one array under each initializer's name. */
export async function computeGradients(
  file: string,
  options: { data: string; output: string; trainMode?: boolean },
  context: OperationContext = {},
): Promise<GradientResult> {
  const { graph } = await loadModel(file);
  const arrays = readNpz(options.data);
  const [x, y] = [arrays.get('x'), arrays.get('y')];
  if (!x || !y) throw new SurgeryError('data-malformed', `${options.data} must hold x and y; it has ${[...arrays.keys()].join(', ')}`);
  const training = buildTrainingGraph(graph, { batch: x.dims[0] ?? 0, training: options.trainMode ?? false });
  const program = await runtime().compile(training.graph);
  try {
    const feeds = new Map<string, Tensor>([
      [training.x, x],
      [training.y, int64([y.dims[0] ?? 0], numbersOf(y))],
    ]);
    if (training.lengths) feeds.set(training.lengths.name, lengthsOf(training.lengths, x, arrays.get('lengths')));
    for (const name of training.updated.keys()) feeds.set(name, graph.initializers.get(name) as Tensor);
    for (const name of training.gradients.keys()) feeds.set(name, graph.initializers.get(name) as Tensor);
    for (const { input } of training.randoms)
      throw new SurgeryError('option-invalid', `${input}: gradients in train mode are not defined with dropout, which is random`);
    const result = await program.run(feeds, { signal: context.signal });
    const loss = result.get(training.loss) as Tensor;
    writeNpz(
      options.output,
      new Map([['loss', loss], ...[...training.gradients].map(([name, output]) => [name, result.get(output) as Tensor] as const)]),
    );
    return { loss: Number(loss.data[0]), parameters: [...training.gradients.keys()] };
  } finally {
    program.dispose();
  }
}

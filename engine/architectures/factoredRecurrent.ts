import { glorotVariance, initialWeights } from '../decomposition/initialise';
import { emitLayer } from '../decomposition/layerEmitter';
import { blockTermNetwork, blockTermShape, tensorTrainNetwork } from '../decomposition/layerForms';
import { balancedModes } from '../decomposition/modes';
import { randomBasis } from '../decomposition/subspace';
import type { TensorNetwork } from '../decomposition/tensorNetwork';
import { SurgeryError } from '../graph/errors';
import type { Random } from '../graph/random';
import { elementCount, float32, type Tensor } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import type { ArchitectureOptions } from './createModel';
import type { Cell, CellInputs } from './recurrent';

/** How the input-to-hidden matrix can be factored: block terms or a tensor train. */
export const FORMS = ['bt', 'tt'];

/** Samples of a batch that the contraction order is chosen for. */
const USUAL_BATCH = 16;
const DEPTH = 4;

/**
 * A recurrent cell whose input-to-hidden matrix is a block-term form or a tensor train with all gates
 * folded into the first output mode (Ye et al., CVPR 2018; Yang et al., ICML 2017). The hidden-to-hidden matrix stays dense and
 * starts orthogonal, the forget gate's bias at one; the represented input matrix has Glorot's
 * deviation, times the gain.
 */
export function factoredCell(
  builder: GraphBuilder,
  random: Random,
  cell: Cell,
  form: string,
  x: string,
  { steps, features, hidden }: { steps: number; features: number; hidden: number },
  options: ArchitectureOptions,
): CellInputs {
  const { kind, gates } = cell;
  const { network, inputModes, outputModes } = formOf(form, features, hidden, gates, options);
  const add = (key: string, tensor: Tensor): string => builder.initializer(`${kind}.${key}`, tensor);
  const wide = gates * hidden;
  const { gain = 1 } = options;
  const tensors = initialWeights(network, gain ** 2 * glorotVariance(features, wide), random);
  const weights = new Map([...tensors].map(([key, tensor]) => [key, add(key, tensor)]));
  const sizes = { inputs: features, outputs: wide, gates };
  const projected = emitLayer(builder, { network, inputModes, outputModes }, sizes, { value: x, shape: ['N', steps, features] }, weights, {
    name: kind,
    rows: USUAL_BATCH * steps,
    passes: 'training',
  });
  const sequence = builder.emit('Transpose', [projected], { perm: [1, 0, 2] }, { name: `${kind}/sequence` });
  const square = builder.emit('ConstantOfShape', [builder.ints([wide, wide])], {}, { name: `${kind}/ConstantOfShape` });
  const eye = builder.emit('EyeLike', [square], {}, { name: `${kind}/EyeLike` });
  const identity = builder.emit('Reshape', [eye, builder.ints([1, wide, wide])], {}, { name: `${kind}/identity` });
  return { sequence, weights: [identity, add('R', orthogonalGates(gates, hidden, random)), add('B', forgetBias(cell, hidden))] };
}

function formOf(
  form: string,
  features: number,
  hidden: number,
  gates: number,
  options: ArchitectureOptions,
): { network: TensorNetwork; inputModes: readonly number[]; outputModes: readonly number[] } {
  const depth = options.inputModes?.length ?? options.outputModes?.length ?? DEPTH;
  const inputModes = options.inputModes ?? balancedModes(features, depth);
  const perGate = options.outputModes ?? balancedModes(hidden, depth).reverse();
  const outputModes = [(perGate[0] ?? 1) * gates, ...perGate.slice(1)];
  if (elementCount(inputModes) < features || elementCount(perGate) < hidden)
    throw new SurgeryError(
      'option-invalid',
      `Modes ${inputModes.join(',')} and ${perGate.join(',')} are too small for ${features} features and ${hidden} hidden units`,
    );
  const { rank = 4, blocks = 2 } = options;
  const network =
    form === 'bt'
      ? blockTermNetwork(blockTermShape(inputModes, outputModes, rank, blocks))
      : tensorTrainNetwork(inputModes, outputModes, Array<number>(depth - 1).fill(rank));
  return { network, inputModes, outputModes };
}

/** [1, G H, H]: every gate's square is orthogonal. */
function orthogonalGates(gates: number, hidden: number, random: Random): Tensor {
  const squares = Array.from({ length: gates }, () => randomBasis(hidden, hidden, random).data);
  const data = new Float32Array(gates * hidden * hidden);
  squares.forEach((square, g) => data.set(square, g * hidden * hidden));
  return float32([1, gates * hidden, hidden], data);
}

/** [1, 2 G H]: ones at the forget gate of an LSTM (ONNX orders i, o, f, c). */
function forgetBias({ op, gates }: { op: string; gates: number }, hidden: number): Tensor {
  const tensor = float32([1, 2 * gates * hidden]);
  if (op === 'LSTM') tensor.data.fill(1, 2 * hidden, 3 * hidden);
  return tensor;
}

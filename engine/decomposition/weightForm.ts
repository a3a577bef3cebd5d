import { elementCount, float32, type Tensor } from '../graph/tensor';
import { reconstruct } from './fit';
import type { Block } from './alternatingLeastSquares';
import { unfoldMatrix } from './fold';
import { type BlockTermShape, blockTermNetwork } from './layerForms';
import { type Folded, squaredNorm } from './products';
import { type ReplaceableLayer, storageOf } from './replaceable';
import type { TensorNetwork } from './tensorNetwork';

/** A weight written as a network of smaller tensors: the network for batch 1, and its weights by their names in it. */
export interface WeightForm {
  readonly network: TensorNetwork;
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly weights: ReadonlyMap<string, Tensor>;
}

/** The tensors of a fit, [N, R1..Rd] and [N, I_k, J_k, R_k], scaled so that core and factors of a block have elements of like size. */
export function blockTermForm(shape: BlockTermShape, blocks: readonly Block[]): WeightForm {
  const network = blockTermNetwork(shape);
  const balanced = blocks.map(balance);
  const weights = new Map<string, Tensor>();
  weights.set('core', stack(balanced.map(({ core }) => core.data), shape.ranks)); // prettier-ignore
  shape.inputModes.forEach((size, k) => {
    const dims = [size, shape.outputModes[k] ?? 1, shape.ranks[k] ?? 1];
    weights.set(`factor${k + 1}`, stack(balanced.map(({ factors }) => factors[k]?.data ?? []), dims)); // prettier-ignore
  });
  return { network, inputModes: shape.inputModes, outputModes: shape.outputModes, weights };
}

/** Scales factors up and the core down by the same product; training then moves all of them at one pace. */
export function balance({ core, factors }: Block): Block {
  const mean = (data: Folded['data']): number => Math.sqrt(squaredNorm(data) / data.length);
  const factorMean = Math.exp(factors.reduce((s, f) => s + Math.log(mean(f.data) || 1), 0) / factors.length);
  const scale = (mean(core.data) / factorMean) ** (1 / (factors.length + 1)) || 1;
  return {
    core: { dims: core.dims, data: Float64Array.from(core.data, (v) => v / scale ** factors.length) },
    factors: factors.map((f) => ({ ...f, data: f.data.map((v) => v * scale) })),
  };
}

function stack(parts: readonly ArrayLike<number>[], dims: readonly number[]): Tensor {
  const size = elementCount(dims);
  const result = new Float32Array(parts.length * size);
  parts.forEach((part, n) => result.set(Float32Array.from(part), n * size));
  return float32([parts.length, ...dims], result);
}

/** The matrix [prod I, prod J] that a fit stands for. */
export const fittedMatrix = ({ inputModes, outputModes }: BlockTermShape, blocks: readonly Block[]): Float64Array =>
  unfoldMatrix(Float64Array.from(reconstruct(blocks).data), inputModes, outputModes);

/** A fit in the layout of the layer's own initializer. */
export function fittedWeight(layer: ReplaceableLayer, shape: BlockTermShape, blocks: readonly Block[]): Float32Array {
  const { inputs, outputs, gates, window, kind } = layer;
  const result = new Float32Array(inputs * outputs * window);
  if (kind === 'convolution') {
    const { data } = reconstruct(blocks);
    for (let c = 0; c < inputs; c++)
      for (let m = 0; m < outputs; m++)
        for (let w = 0; w < window; w++) result[(m * inputs + c) * window + w] = data[(c * outputs + m) * window + w] as number;
    return result;
  }
  const matrix = fittedMatrix(shape, blocks);
  const columns = elementCount(shape.outputModes);
  const [narrow, wide] = [outputs / gates, columns / gates];
  const { turned, scale } = storageOf(layer);
  for (let i = 0; i < inputs; i++)
    for (let j = 0; j < outputs; j++) {
      const from = i * columns + Math.floor(j / narrow) * wide + (j % narrow);
      result[turned ? j * inputs + i : i * outputs + j] = (matrix[from] as number) / scale;
    }
  return result;
}

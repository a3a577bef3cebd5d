import { File, type Group } from 'jsfive';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { type Tensor, float32 } from '../../graph/tensor';
import { convertKeras } from './convertKeras';
import { parseTopology } from './topology';

/** A model that Keras saved as HDF5 (`model.save('model.h5')`), as a graph of ONNX operators. */
export function parseKeras(bytes: Uint8Array, file: string): Graph {
  const root = openFile(bytes, file);
  const { model_config: config } = root.attrs;
  if (typeof config !== 'string')
    throw new SurgeryError(
      'file-unsupported',
      `${file} holds weights without a model; save the whole model (model.save), not save_weights`,
    );
  const topology = parseTopology(JSON.parse(config), file);
  return convertKeras(topology, readWeights(root.get('model_weights') as Group), file);
}

function openFile(bytes: Uint8Array, file: string): File {
  try {
    return new File(bytes.slice().buffer, file);
  } catch (error) {
    throw new SurgeryError(
      'file-malformed',
      `${file} is not an HDF5 file or is cut short: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Each layer's group lists its weights, such as "conv2d/kernel:0", padded with zeros to one length. */
function readWeights(root: Group): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const layer of root.keys) {
    const group = root.get(layer) as Group;
    const names = group.attrs.weight_names as readonly string[] | undefined;
    for (const padded of names ?? []) {
      const name = padded.replace(/\0+$/, '');
      const { shape, value } = group.get(name) as { shape: readonly number[]; value: ArrayLike<number> };
      weights.set(`${layer}/${(name.split('/').pop() ?? name).replace(/:\d+$/, '')}`, float32(shape, Float32Array.from(value)));
    }
  }
  return weights;
}

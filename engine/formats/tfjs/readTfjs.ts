import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { type ElementType, type Tensor, arrayFromBytes, byteSize, elementCount, float32, numbersOf } from '../../graph/tensor';
import { convertKeras } from '../keras/convertKeras';
import { parseTopology } from '../keras/topology';

interface WeightEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly scale?: number; readonly min?: number };
}

interface ModelJson {
  readonly format?: string;
  readonly modelTopology?: { readonly model_config?: unknown };
  readonly weightsManifest?: readonly { readonly paths: readonly string[]; readonly weights: readonly WeightEntry[] }[];
}

/** A tfjs layers model (model.json and the weight files beside it), as a graph of ONNX operators. */
export async function parseTfjs(bytes: Uint8Array, file: string): Promise<Graph> {
  let model: ModelJson;
  try {
    model = JSON.parse(Buffer.from(bytes).toString('utf8')) as ModelJson;
  } catch (error) {
    throw new SurgeryError('file-malformed', `${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { format, modelTopology, weightsManifest } = model;
  if (format === 'graph-model') throw new SurgeryError('file-unsupported', `${file} is a tfjs graph model; only layers models can be read`);
  if (!modelTopology || !weightsManifest)
    throw new SurgeryError('file-unsupported', `${file} is not a tfjs layers model: it needs modelTopology and weightsManifest`);
  const topology = parseTopology(modelTopology.model_config ?? modelTopology, file);
  const weights = new Map<string, Tensor>();
  for (const { paths, weights: entries } of weightsManifest) {
    const parts = await Promise.all(paths.map((part) => readPart(path.join(path.dirname(file), part), file)));
    let offset = 0;
    const data = Buffer.concat(parts);
    for (const entry of entries) {
      const { tensor, length } = decodeWeight(entry, data, offset, file);
      weights.set(
        keyOf(
          entry.name,
          topology.layers.map((l) => l.name),
        ),
        tensor,
      );
      offset += length;
    }
  }
  return convertKeras(topology, weights, file);
}

/** Converters drop or keep a ".bin" ending. */
async function readPart(part: string, file: string): Promise<Buffer> {
  for (const name of [part, part.replace(/\.bin$/, ''), `${part}.bin`]) {
    const found = await readFile(name).catch(() => undefined);
    if (found) return found;
  }
  throw new SurgeryError('file-not-found', `${file}: weight file ${path.basename(part)} is missing; put it beside the model`);
}

const TYPES: Readonly<Record<string, ElementType>> = {
  float32: 'float32',
  float16: 'float16',
  int32: 'int32',
  uint8: 'uint8',
  uint16: 'uint16',
  bool: 'bool',
};

function decodeWeight(
  { name, shape, dtype, quantization }: WeightEntry,
  data: Uint8Array,
  offset: number,
  file: string,
): { tensor: Tensor; length: number } {
  const stored = TYPES[quantization?.dtype ?? dtype];
  if (!stored) throw new SurgeryError('file-unsupported', `${file}: weight ${name} has element type ${quantization?.dtype ?? dtype}`);
  const length = byteSize(stored, elementCount(shape));
  if (offset + length > data.byteLength)
    throw new SurgeryError('file-malformed', `${file}: weight ${name} ends at byte ${offset + length}, its files have ${data.byteLength}`);
  const tensor: Tensor = { type: stored, dims: shape, data: arrayFromBytes(stored, data.subarray(offset, offset + length)) };
  if (stored === 'float32') return { tensor, length };
  const { scale = 1, min = 0 } = quantization ?? {};
  return {
    tensor: float32(
      shape,
      Float32Array.from(numbersOf(tensor), (v) => v * scale + min),
    ),
    length,
  };
}

/** "block/conv/kernel" to layer and weight; a layer's name may hold slashes itself. */
function keyOf(name: string, layers: readonly string[]): string {
  const layer = layers.find((l) => name.startsWith(`${l}/`)) ?? name.split('/')[0] ?? name;
  return `${layer}/${name.split('/').pop() ?? name}`;
}
